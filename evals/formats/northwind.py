"""Questions whose reference answer cites pages: ``{"question": …, "truth": "… [file.pdf#page=3]"}`` a line.

A truth that cites nothing marks a question that the documents do not answer.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from evals.formats.lines import identify, jsonl_files, read_objects, text_field
from evals.formats.source import GoldSource
from evals.gold import GoldItem, item_from

_CITATION = re.compile(r"\[(?P<file>[^\[\]#]+?)(?:#page=(?P<page>\d+))?\]")
_FILE = re.compile(r"\.[A-Za-z0-9]{1,5}$")


def read(path: Path) -> GoldSource:
    """Read a ``.jsonl`` file, or all of a folder."""
    items: list[GoldItem] = []
    taken: set[str] = set()
    uncited = 0
    for file in jsonl_files(path):
        for where, row in read_objects(file):
            question = text_field(row, "question", where) or ""
            truth = text_field(row, "truth", where) or ""
            cited = [found for found in _CITATION.finditer(truth) if found["page"] or _FILE.search(found["file"])]
            body: dict[str, Any] = {
                "id": identify(question, taken),
                "question": question,
                "answerable": bool(cited),
            }
            if cited:
                places = dict.fromkeys((found["file"].strip(), found["page"]) for found in cited)
                body["answer"] = re.sub(rf"\s*(?:{_CITATION.pattern})", "", truth).strip()
                body["evidence"] = [
                    {"external_id": name, "page": int(page)} if page else {"external_id": name} for name, page in places
                ]
            else:
                uncited += 1
            items.append(item_from(body, where))
    notes = (f"{uncited} questions cite no page and count as unanswerable",) if uncited else ()
    return GoldSource(tuple(items), notes=notes)
