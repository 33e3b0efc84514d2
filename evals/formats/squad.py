"""SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): paragraphs with questions; ``is_impossible`` marks the
unanswerable.

Each paragraph becomes a document ``<title>/<number>``; an answer becomes evidence at its characters and a
fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from evals.formats.lines import read_document
from evals.formats.source import GoldSource
from evals.gold import items_from
from evals.subject import DocumentInput
from infra.errors import InvalidInput


class _Answer(msgspec.Struct, frozen=True):
    text: str
    answer_start: int


class _Question(msgspec.Struct, frozen=True):
    id: str
    question: str
    answers: list[_Answer] = []
    is_impossible: bool = False


class _Paragraph(msgspec.Struct, frozen=True):
    context: str
    qas: list[_Question]


class _Article(msgspec.Struct, frozen=True):
    paragraphs: list[_Paragraph]
    title: str = "untitled"


class _File(msgspec.Struct, frozen=True):
    data: list[_Article]


def read(path: Path) -> GoldSource:
    """Read one SQuAD JSON file."""
    try:
        content = msgspec.convert(read_document(path), _File)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{path.name}: {str(error).replace('`', '')}.", code="bad_gold_item") from None
    documents: list[DocumentInput] = []
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, title, paragraph in _paragraphs(content):
        documents.append(DocumentInput(name, title, paragraph.context))
        for question in paragraph.qas:
            where = f"{path.name}, question {question.id}"
            rows.append((where, _body(question, name, paragraph.context, where)))
    return GoldSource(tuple(items_from(rows)), lambda: iter(documents), len(documents))


def _paragraphs(content: _File) -> Iterator[tuple[str, str, _Paragraph]]:
    used: dict[str, int] = {}
    for article in content.data:
        for paragraph in article.paragraphs:
            number = used[article.title] = used.get(article.title, 0) + 1
            yield f"{article.title}/{number}", article.title.replace("_", " "), paragraph


def _body(question: _Question, document: str, context: str, where: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": question.id,
        "question": question.question,
        "answerable": not question.is_impossible,
    }
    if question.is_impossible:
        return body
    if not question.answers:
        raise InvalidInput(f"{where}: has no answers and is not marked is_impossible.", code="bad_gold_item")
    # Other annotators' answers are alternatives; facts are demanded together, so only the first is taken.
    first = question.answers[0]
    end = first.answer_start + len(first.text)
    if first.answer_start < 0 or context[first.answer_start : end] != first.text:
        raise InvalidInput(f"{where}: answer_start does not point to the answer's text.", code="bad_gold_item")
    place = {"external_id": document, "char_start": first.answer_start, "char_end": end, "quote": first.text}
    return body | {"answer": first.text, "facts": [first.text], "evidence": [place]}
