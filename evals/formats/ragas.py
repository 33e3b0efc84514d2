"""Ragas' evaluation data sets (https://docs.ragas.io): ``user_input, reference, reference_contexts,
reference_context_ids``.

JSON lines, a JSON list, or an object with ``samples``; the older names ``question``, ``ground_truth`` and
``contexts`` are read too. A context without an id is a quote of a document that the file does not name:
importing looks it up in the collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.formats.lines import identify, jsonl_files, read_document, read_objects, text_field
from evals.formats.source import GoldSource
from evals.gold import GoldItem, item_from
from infra.errors import InvalidInput


def read(path: Path) -> GoldSource:
    """Read a ``.jsonl`` or ``.json`` file, or a folder's ``.jsonl`` files."""
    items: list[GoldItem] = []
    unplaced: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for where, row in _rows(path):
        question = _first(row, ("user_input", "question"), where)
        if question is None:
            raise InvalidInput(f"{where}: user_input (or question) must be a text.", code="bad_gold_item")
        quotes = _texts(row, "reference_contexts", where) or _texts(row, "contexts", where)
        documents = _texts(row, "reference_context_ids", where)
        body: dict[str, Any] = {"id": identify(question, taken), "question": question, "answerable": True}
        answer = _first(row, ("reference", "ground_truth", "answer"), where)
        if answer:
            body["answer"] = answer
        if isinstance(row.get("synthesizer_name"), str):
            body["kind"] = row["synthesizer_name"]
        if documents and len(documents) == len(quotes):
            body["evidence"] = [{"external_id": d, "quote": q} for d, q in zip(documents, quotes, strict=True)]
        elif documents:
            body["evidence"] = [{"external_id": d} for d in documents]
        elif quotes:
            unplaced[body["id"]] = tuple(quotes)
        items.append(item_from(body, where))
    return GoldSource(tuple(items), unplaced=unplaced)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.is_dir() or path.suffix == ".jsonl":
        for file in jsonl_files(path):
            yield from read_objects(file)
        return
    content = read_document(path)
    samples = content.get("samples") if isinstance(content, dict) else content
    if not isinstance(samples, list):
        raise InvalidInput(f"{path.name}: must be a list of samples, or an object with samples.", code="bad_gold_item")
    for number, row in enumerate(samples, start=1):
        if not isinstance(row, dict):
            raise InvalidInput(f"{path.name}, sample {number}: must be a JSON object.", code="bad_gold_item")
        yield f"{path.name}, sample {number}", row


def _first(row: dict[str, Any], names: tuple[str, ...], where: str) -> str | None:
    for name in names:
        value = text_field(row, name, where, required=False)
        if value and value.strip():
            return value
    return None


def _texts(row: dict[str, Any], name: str, where: str) -> list[str]:
    values = row.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        raise InvalidInput(f"{where}: {name} must be a list of texts that are not blank.", code="bad_gold_item")
    return values
