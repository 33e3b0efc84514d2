"""The layout of BEIR (Thakur et al. 2021, https://github.com/beir-cellar/beir): corpus, queries and graded
judgements.

A folder with ``corpus.jsonl`` (``_id, title, text``), ``queries.jsonl`` (``_id, text``) and
``qrels/test.tsv`` (``query-id, corpus-id, score``, tab-separated, with a header); where there is no test
split, ``dev`` or ``train`` is read. A score of 0 or less means judged and not relevant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evals.formats.lines import read_objects, text_field
from evals.formats.source import GoldSource
from evals.gold import Evidence, GoldItem
from evals.subject import DocumentInput
from infra.errors import InvalidInput

SPLITS = ("test", "dev", "train")
_COLUMNS = 3


def read(path: Path) -> GoldSource:
    """Check the whole folder, then return its judged queries; the corpus is read again when it is loaded."""
    corpus, queries = path / "corpus.jsonl", path / "queries.jsonl"
    for file in (corpus, queries):
        if not file.is_file():
            raise InvalidInput(
                f"{path} holds no {file.name}; allowed: corpus.jsonl, queries.jsonl, qrels/test.tsv.",
                code="no_such_file",
            )
    split, judgements = _read_judgements(path)
    known, blank = _check_corpus(corpus)
    items: list[GoldItem] = []
    asked: set[str] = set()
    for where, row in read_objects(queries):
        query_id = text_field(row, "_id", where) or ""
        question = text_field(row, "text", where) or ""
        if query_id in asked:
            raise InvalidInput(f"{where}: the _id {query_id!r} comes twice.", code="bad_gold_item")
        asked.add(query_id)
        judged = judgements.get(query_id)
        if judged:
            evidence = tuple(Evidence(external_id=name, grade=grade) for name, grade in judged.items())
            items.append(GoldItem(id=query_id, question=question, answerable=True, evidence=evidence))
    notes = [f"judgements of the {split} split"]
    unasked = len(judgements.keys() - asked)
    if unasked:
        notes.append(f"{unasked} judged queries are not in queries.jsonl and were left out")
    absent = len({name for judged in judgements.values() for name in judged} - known)
    if absent:
        notes.append(f"{absent} judged documents are not in corpus.jsonl and can never be found")
    if blank:
        notes.append(f"{blank} documents have neither title nor text and were left out")
    return GoldSource(tuple(items), lambda: _documents(corpus), len(known), notes=tuple(notes))


def _read_judgements(path: Path) -> tuple[str, dict[str, dict[str, int]]]:
    for split in SPLITS:
        file = path / "qrels" / f"{split}.tsv"
        if file.is_file():
            break
    else:
        raise InvalidInput(f"{path} holds no qrels/test.tsv (nor dev.tsv or train.tsv).", code="no_such_file")
    judgements: dict[str, dict[str, int]] = {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InvalidInput(f"{file.name}: not valid UTF-8.", code="bad_qrels") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        where = f"qrels/{file.name}, line {number}"
        if len(cells) != _COLUMNS or not cells[0] or not cells[1]:
            raise InvalidInput(f"{where}: must be query-id, corpus-id and score, separated by tabs.", code="bad_qrels")
        try:
            grade = int(cells[2])
        except ValueError:
            if number == 1:
                continue  # the header
            raise InvalidInput(f"{where}: the score {cells[2]!r} must be a whole number.", code="bad_qrels") from None
        if grade > 0:
            judgements.setdefault(cells[0], {})[cells[1]] = grade
    return split, judgements


def _check_corpus(file: Path) -> tuple[set[str], int]:
    known: set[str] = set()
    blank: set[str] = set()
    for where, row in read_objects(file):
        name = text_field(row, "_id", where) or ""
        title = text_field(row, "title", where, required=False)
        text = text_field(row, "text", where, required=False)
        if name in known or name in blank:
            raise InvalidInput(f"{where}: the _id {name!r} comes twice.", code="bad_corpus")
        if "text" not in row:
            raise InvalidInput(f"{where}: text is missing.", code="bad_corpus")
        (known if (title or "").strip() or (text or "").strip() else blank).add(name)
    if not known:
        raise InvalidInput(f"{file.name} holds no documents.", code="bad_corpus")
    return known, len(blank)


def _documents(file: Path) -> Iterator[DocumentInput]:
    for where, row in read_objects(file):
        title = text_field(row, "title", where, required=False) or ""
        text = text_field(row, "text", where, required=False) or ""
        if title.strip() or text.strip():
            name = text_field(row, "_id", where) or ""
            # A document of a title alone is still found by it.
            yield DocumentInput(name, title.strip() or None, text if text.strip() else title)
