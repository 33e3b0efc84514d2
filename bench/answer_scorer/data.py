"""The written passages and questions that the answer scorer learns from.

``passages.jsonl`` holds a passage a line: ``title``, ``heading``, ``sentences`` (of a table: its rows, as
"Column: value; …") and ``questions``, each with the indexes of the sentences that answer it (none: the passage
does not say) and its ``kind``. One passage in eight is ``test``. All of it was written for this purpose; no
company, place or product of the sample company is in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.answers.windows import CELLS, Window, windows
from retrieval.passage import DocumentRef, Passage

PASSAGES = Path(__file__).with_name("passages.jsonl")
_BULLETED = 0.12
_ENDS = (".", "!", "?", '"', ")")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question on a passage: ``labels`` says of each of the passage's windows whether it answers."""

    question: str
    kind: str
    labels: tuple[bool, ...]

    @property
    def answerable(self) -> bool:
        """Whether the passage answers it."""
        return any(self.labels)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A passage with its windows and the questions on it."""

    split: str
    passage: Passage
    windows: tuple[Window, ...]
    questions: tuple[Labelled, ...]


def load_lessons(path: Path = PASSAGES) -> list[Lesson]:
    """Every written passage, laid out as ingestion lays out such text."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [_lesson(f"p{number}", record) for number, record in enumerate(records)]


def _lesson(name: str, record: dict[str, object]) -> Lesson:
    sentences = record["sentences"]
    assert isinstance(sentences, list)
    text, spans = _table(sentences) or _prose(sentences, bulleted=random.Random(name).random() < _BULLETED)
    path = (str(record["heading"]),) if record["heading"] else ()
    document = DocumentRef(f"doc_{name}", name, 1, str(record["title"]))
    passage = Passage(name, document, text, path, None, 0, len(text))
    found = tuple(window for window in windows([passage]) if not window.heading)
    questions = record["questions"]
    assert isinstance(questions, list)
    labelled = []
    for question in questions:
        gold = [spans[index] for index in question["answer"]]
        labels = tuple(any(w.start < end and start < w.end for start, end in gold) for w in found)
        labelled.append(Labelled(question["question"], question["kind"], labels))
    return Lesson(str(record["split"]), passage, found, tuple(labelled))


def _table(sentences: Sequence[str]) -> tuple[str, list[tuple[int, int]]] | None:
    rows = [[part.split(":", 1) for part in sentence.rstrip(".").split(";")] for sentence in sentences]
    if any(len(row) < 2 or any(len(cell) != 2 for cell in row) for row in rows):
        return None
    columns = [name.strip() for name, _ in rows[0]]
    if any([name.strip() for name, _ in row] != columns for row in rows):
        return None
    return _joined([CELLS.join(columns), *(CELLS.join(value.strip() for _, value in row) for row in rows)], first=1)


def _joined(lines: Sequence[str], first: int) -> tuple[str, list[tuple[int, int]]]:
    spans, start = [], 0
    for line in lines:
        spans.append((start, start + len(line)))
        start += len(line) + 1
    return "\n".join(lines), spans[first:]


def _prose(sentences: Sequence[str], *, bulleted: bool) -> tuple[str, list[tuple[int, int]]]:
    text, spans = "", []
    for sentence in sentences:
        if text:
            text += " " if not bulleted and text.endswith(_ENDS) and sentence.endswith(_ENDS) else "\n"
        text += "- " if bulleted else ""
        spans.append((len(text), len(text) + len(sentence)))
        text += sentence
    return text, spans
