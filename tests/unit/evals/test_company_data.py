"""The sample company and its gold set hold together: each document is there, each quote stands in its own."""

import email
import email.policy
import json
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import docx
import openpyxl  # type: ignore[import-untyped, unused-ignore]
import pptx
import pypdf
import pytest

DATA = Path(__file__).parents[3] / "evals" / "data"
COMPANY = DATA / "company"
FORMATS = {".md", ".html", ".txt", ".docx", ".pptx", ".xlsx", ".csv", ".eml", ".pdf"}
UNANSWERABLE_KINDS = {"absent_topic", "false_premise", "near_miss"}
ANSWERABLE_KINDS = {"single_passage", "multi_passage", "cross_document", "table", "number_date", "paraphrase"}
GOLD_FIELDS = {"id", "question", "answerable", "answer", "facts", "evidence", "groups", "kind", "tags"}

# Words that a question and a passage may share without the one giving the other away.
SHAREABLE = """
    a about after all also am an and any anybody are as at be because been before by can did do does
    each else everyone everybody fast for from get go going had has have her him his how i if in
    into is it its many may me more much must my never no not now of off on once one only or our out
    over own she should so still such than that the their them then there they this those time to
    under until up us was we were what when where which while who whom will with you your
"""
FUNCTION_WORDS = frozenset(SHAREABLE.split())


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


DOCUMENTS = {line["external_id"]: line for line in read_lines(DATA / "company.jsonl")}
GOLD = read_lines(DATA / "goldset.jsonl")
EVIDENCE = [(item, evidence) for item in GOLD for evidence in item.get("evidence", [])]


class TextOnly(HTMLParser):
    """Collects a page's text, tags stripped and entities resolved."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def strip_tags(markup: str) -> str:
    parser = TextOnly()
    parser.feed(markup)
    parser.close()
    return "".join(parser.parts)


def docx_parts(path: Path) -> list[str]:
    document = docx.Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return [paragraph.text for paragraph in document.paragraphs] + cells


def pptx_parts(path: Path) -> list[str]:
    parts = []
    for slide in pptx.Presentation(str(path)).slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                parts += [paragraph.text for paragraph in shape.text_frame.paragraphs]
            if shape.has_table:
                parts += [cell.text for row in shape.table.rows for cell in row.cells]
        if slide.has_notes_slide:
            parts.append(slide.notes_slide.notes_text_frame.text)
    return parts


def xlsx_parts(path: Path) -> list[str]:
    sheets = openpyxl.load_workbook(path).worksheets
    return [str(cell) for sheet in sheets for row in sheet.values for cell in row if cell is not None]


def eml_parts(path: Path) -> list[str]:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return [message["Subject"], body.get_content()]


@cache
def passages(external_id: str) -> list[str]:
    """The document's text in pieces that a quote must not cross: pages, paragraphs, cells; or whole."""
    path = COMPANY / external_id
    match path.suffix:
        case ".pdf":
            parts = [page.extract_text() for page in pypdf.PdfReader(path).pages]
        case ".docx":
            parts = docx_parts(path)
        case ".pptx":
            parts = pptx_parts(path)
        case ".xlsx":
            parts = xlsx_parts(path)
        case ".eml":
            parts = eml_parts(path)
        case ".html":
            parts = [strip_tags(path.read_text(encoding="utf-8"))]
        case _:
            parts = [path.read_text(encoding="utf-8")]
    return [" ".join(part.split()) for part in parts]


def plain_numbers(text: str) -> str:
    """Lower case and no thousands separators: 2,610 in an answer is 2610 in a workbook's cell."""
    return re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())


def content_stems(text: str) -> set[str]:
    """The first five letters of each word but function words: a coarse stem, so that inflections meet."""
    words = re.findall(r"[a-z]+", text.lower().replace("'s", "").replace("n't", ""))
    return {word[:5] for word in words if len(word) > 2 and word not in FUNCTION_WORDS}


def test_manifest_lists_exactly_the_files_there_are() -> None:
    files = {path.relative_to(COMPANY).as_posix() for path in COMPANY.rglob("*") if path.is_file()}
    assert {line["path"] for line in DOCUMENTS.values()} == files
    assert 25 <= len(files) <= 40


def test_manifest_has_no_external_id_twice() -> None:
    assert len(DOCUMENTS) == len(read_lines(DATA / "company.jsonl"))


def test_manifest_lines_name_title_groups_and_metadata() -> None:
    for line in DOCUMENTS.values():
        assert set(line) == {"path", "external_id", "title", "allowed_groups", "metadata"}
        assert line["title"]
        assert line["allowed_groups"] in (None, ["hr"], ["finance"])
        assert set(line["metadata"]) == {"department", "year", "kind", "status"}


def test_each_format_occurs_at_least_three_times() -> None:
    count = Counter(Path(path).suffix for path in DOCUMENTS)
    assert set(count) == FORMATS
    assert min(count.values()) >= 3


def test_at_least_eight_documents_have_a_thousand_words() -> None:
    long = [name for name in DOCUMENTS if sum(len(part.split()) for part in passages(name)) > 1000]
    assert len(long) >= 8


@pytest.mark.parametrize("external_id", [name for name in DOCUMENTS if name.endswith(".pdf")])
def test_pdfs_have_several_pages(external_id: str) -> None:
    assert len(passages(external_id)) >= 2


def test_each_built_document_has_a_source_and_the_other_way_round() -> None:
    folder = DATA / "sources"
    sources = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.md")}
    assert sources == {name for name in DOCUMENTS if Path(name).suffix in {".docx", ".pptx", ".xlsx", ".pdf"}}


def test_gold_ids_and_questions_are_unique() -> None:
    assert len({item["id"] for item in GOLD}) == len(GOLD)
    assert len({item["question"].lower() for item in GOLD}) == len(GOLD)


def test_gold_has_enough_questions_of_each_kind() -> None:
    kinds = Counter(item["kind"] for item in GOLD)
    assert set(kinds) == UNANSWERABLE_KINDS | ANSWERABLE_KINDS | {"restricted"}
    assert min(kinds.values()) >= 6
    assert len(GOLD) >= 120


def test_a_quarter_of_the_questions_has_no_answer() -> None:
    assert sum(item["kind"] in UNANSWERABLE_KINDS for item in GOLD) / len(GOLD) >= 0.25


@pytest.mark.parametrize("item", GOLD, ids=[item["id"] for item in GOLD])
def test_gold_item_is_well_formed(item: dict[str, Any]) -> None:
    assert set(item) <= GOLD_FIELDS
    assert item["question"].endswith(("?", "."))
    if item["kind"] in UNANSWERABLE_KINDS:
        assert not item["answerable"]
    if not item["answerable"]:
        assert not set(item) & {"answer", "facts", "evidence"}
        return
    assert item["kind"] not in UNANSWERABLE_KINDS
    assert item["answer"]
    assert item["facts"]
    assert all(isinstance(fact, str) and fact for fact in item["facts"])
    stated = plain_numbers(item["answer"])
    written = plain_numbers(" ".join(part for e in item["evidence"] for part in passages(e["external_id"])))
    for fact in map(plain_numbers, item["facts"]):
        assert fact in stated
        assert fact in written
    names = {evidence["external_id"] for evidence in item["evidence"]}
    if item["kind"] == "multi_passage":
        assert len(item["evidence"]) >= 2
        assert len(names) == 1
    if item["kind"] == "cross_document":
        assert len(names) >= 2


@pytest.mark.parametrize(
    ("item", "evidence"),
    EVIDENCE,
    ids=[f"{item['id']}-{number}" for number, (item, _) in enumerate(EVIDENCE)],
)
def test_quote_stands_in_its_document(item: dict[str, Any], evidence: dict[str, Any]) -> None:
    assert set(evidence) <= {"external_id", "page", "quote"}
    parts = passages(evidence["external_id"])
    assert ("page" in evidence) == evidence["external_id"].endswith(".pdf")
    if "page" in evidence:
        parts = [parts[evidence["page"] - 1]]
    assert any(evidence["quote"] in part for part in parts), item["question"]


def test_only_restricted_questions_rest_on_restricted_documents() -> None:
    for item, evidence in EVIDENCE:
        allowed = DOCUMENTS[evidence["external_id"]]["allowed_groups"]
        assert item.get("groups") == allowed, item["id"]
        assert (item["kind"] == "restricted") == (allowed is not None), item["id"]


def test_restricted_questions_are_also_asked_by_those_who_may_not_read() -> None:
    restricted = [item for item in GOLD if item["kind"] == "restricted"]
    denied = [item for item in restricted if not item["answerable"]]
    assert len(denied) >= 6
    assert len(restricted) - len(denied) >= 6
    assert all(item["groups"] and item["tags"] == ["denied"] for item in denied)


def test_current_version_is_the_evidence_unless_the_old_one_is_asked_for() -> None:
    for item, evidence in EVIDENCE:
        if DOCUMENTS[evidence["external_id"]]["metadata"]["status"] == "superseded":
            assert "2024" in item["question"] or "old" in item["question"], item["id"]


def test_paraphrases_share_no_content_word_with_their_passage() -> None:
    for item in GOLD:
        if item["kind"] == "paraphrase":
            quoted = " ".join(evidence["quote"] for evidence in item["evidence"])
            assert not content_stems(item["question"]) & content_stems(quoted), item["question"]


def test_readme_counts_the_questions_of_each_kind() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    stated = {
        match[1]: (int(match[2]), int(match[3]))
        for match in re.finditer(r"^\| `(\w+)`.*\| (\d+) \| (\d+) \|$", readme, re.MULTILINE)
    }
    kinds = Counter(item["kind"] for item in GOLD)
    answerable = Counter(item["kind"] for item in GOLD if item["answerable"])
    assert stated == {kind: (count, answerable[kind]) for kind, count in kinds.items()}
