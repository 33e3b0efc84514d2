import json
from pathlib import Path
from typing import Any

import pytest

from evals.formats import read_gold
from evals.gold import Evidence
from evals.subject import DocumentInput
from infra.errors import InvalidInput

CORPUS: list[dict[str, Any]] = [
    {"_id": "d1", "title": "Winch", "text": "It pulls.", "metadata": {}},
    {"_id": "d2", "title": "", "text": "No title."},
    {"_id": "d3", "title": "Only a title", "text": ""},
    {"_id": "d4", "title": "", "text": " "},
]
QUERIES = [
    {"_id": "q1", "text": "what pulls"},
    {"_id": "q2", "text": "not judged"},
    {"_id": "q3", "text": "only zeros"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t1\nq1\td3\t0\nq3\td1\t0\nq9\td1\t1\nq1\tgone\t1\n"


def write(folder: Path, qrels: str = QRELS, split: str = "test", **files: list[Any]) -> Path:
    (folder / "qrels").mkdir(exist_ok=True)
    for name, rows in {"corpus": CORPUS, "queries": QUERIES, **files}.items():
        text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "qrels" / f"{split}.tsv").write_text(qrels)
    return folder


def test_judged_queries_with_their_grades(tmp_path: Path) -> None:
    source = read_gold("beir", write(tmp_path))
    (item,) = source.items
    assert (item.id, item.question, item.answerable) == ("q1", "what pulls", True)
    assert item.evidence == (
        Evidence(external_id="d1", grade=2),
        Evidence(external_id="d2", grade=1),
        Evidence(external_id="gone", grade=1),
    )


def test_the_corpus_is_read_whole_but_for_blank_documents(tmp_path: Path) -> None:
    source = read_gold("beir", write(tmp_path))
    assert source.documents is not None
    assert list(source.documents()) == [
        DocumentInput("d1", "Winch", "It pulls."),
        DocumentInput("d2", None, "No title."),
        DocumentInput("d3", "Only a title", "Only a title"),
    ]
    assert source.document_count == 3
    assert source.notes == (
        "judgements of the test split",
        "1 judged queries are not in queries.jsonl and were left out",
        "1 judged documents are not in corpus.jsonl and can never be found",
        "1 documents have neither title nor text and were left out",
    )


def test_dev_stands_in_for_a_missing_test_split(tmp_path: Path) -> None:
    source = read_gold("beir", write(tmp_path, split="dev"))
    assert source.notes[0] == "judgements of the dev split"


def test_numbers_for_ids_and_no_header(tmp_path: Path) -> None:
    corpus, queries = [{"_id": 7, "text": "x"}], [{"_id": 1, "text": "y"}]
    source = read_gold("beir", write(tmp_path, qrels="1\t7\t1\n", corpus=corpus, queries=queries))
    assert source.items[0].evidence == (Evidence(external_id="7"),)


@pytest.mark.parametrize(
    ("files", "qrels", "words"),
    [
        ({"corpus": [*CORPUS, "{broken"]}, QRELS, "corpus.jsonl, line 5: not valid JSON"),
        ({"corpus": [*CORPUS, CORPUS[0]]}, QRELS, "corpus.jsonl, line 5: the _id 'd1' comes twice"),
        ({"corpus": [{"_id": "d1"}]}, QRELS, "corpus.jsonl, line 1: text is missing"),
        ({"corpus": [{"_id": "d1", "text": 5.5}]}, QRELS, "corpus.jsonl, line 1: text must be a text"),
        (
            {"queries": [{"_id": "q1", "text": ""}]},
            QRELS,
            "queries.jsonl, line 1: text must be a text that is not blank",
        ),
        ({"queries": ["[1]"]}, QRELS, "queries.jsonl, line 1: must be a JSON object"),
        (
            {},
            "query-id\tcorpus-id\tscore\nq1 d1 1\n",
            "qrels/test.tsv, line 2: must be query-id, corpus-id and score",
        ),
        ({}, QRELS + "q1\td1\thigh\n", "qrels/test.tsv, line 8: the score 'high' must be a whole number"),
        ({}, "query-id\tcorpus-id\tscore\n", "holds no questions"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path: Path, files: dict[str, Any], qrels: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_gold("beir", write(tmp_path, qrels=qrels, **files))
    assert words in caught.value.detail


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no corpus\.jsonl"):
        read_gold("beir", tmp_path)
    write(tmp_path)
    (tmp_path / "qrels" / "test.tsv").unlink()
    with pytest.raises(InvalidInput, match=r"holds no qrels/test\.tsv"):
        read_gold("beir", tmp_path)
