"""The record of each answer: what was asked, what was answered, and from which characters of which versions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.clock import iso, now
from infra.errors import NotFound
from infra.ids import new_id
from infra.tables import AnswerRecord, AnswerSource, Document, DocumentVersion, ExtractedText, Feedback
from retrieval.access import Access
from retrieval.answers.answer import Answer
from retrieval.answers.answering import Ask, Done
from retrieval.answers.writer import Turn
from retrieval.generator.prompt import PROMPT_VERSION
from retrieval.passage import DocumentRef, Passage


def save_answer(session: Session, done: Done, ask: Ask, access: Access, caller: str | None) -> None:
    """Keep an answer, so that it can be shown, judged and replayed."""
    session.add(
        AnswerRecord(
            id=done.answer.id,
            caller=caller,
            groups=None if access.groups is None else sorted(access.groups),
            question=ask.question,
            request={
                "ask": msgspec.to_builtins(ask),
                "prompt": PROMPT_VERSION,
                "sources": [_place(p) for p in done.passages],
            },
            body=answer_body(done.answer),
            created_at=now(),
        )
    )
    session.flush()
    for document_id in {p.document.id for p in done.passages}:
        session.add(AnswerSource(answer_id=done.answer.id, document_id=document_id))


def answer_body(answer: Answer) -> dict[str, Any]:
    """The answer object of the contract, as JSON values."""
    body: dict[str, Any] = msgspec.to_builtins(answer)
    return body


def get_record(session: Session, answer_id: str, access: Access, caller: str | None) -> AnswerRecord:
    """A record that this caller may see; raises ``NotFound``.

    It is the caller's own (an administrator sees all), and every document that it was written from may be read now: an
    answer is no way around a permission that was taken away since.
    """
    record = session.get(AnswerRecord, answer_id)
    if record is None or (caller is not None and record.caller != caller):
        raise NotFound("There is no such answer.", code="answer_not_found")
    groups = session.scalars(
        select(Document.allowed_groups)
        .join(AnswerSource, AnswerSource.document_id == Document.id)
        .where(AnswerSource.answer_id == answer_id)
    )
    if not all(access.may_read(allowed) for allowed in groups):
        raise NotFound("There is no such answer.", code="answer_not_found")
    return record


def describe(record: AnswerRecord) -> dict[str, Any]:
    """A record as callers see it: the answer object, with when and how it was asked."""
    return {**record.body, "created_at": iso(record.created_at), "prompt": record.request.get("prompt")}


def add_feedback(
    session: Session, record: AnswerRecord, rating: str, comment: str | None, correction: str | None
) -> Feedback:
    """Keep a reader's judgement of an answer."""
    feedback = Feedback(
        id=new_id("fb"),
        answer_id=record.id,
        rating=rating,
        comment=comment,
        correction=correction,
        created_at=now(),
    )
    session.add(feedback)
    return feedback


def recorded_ask(record: AnswerRecord) -> Ask:
    """The question as it was asked."""
    ask: Mapping[str, Any] = record.request["ask"]
    return Ask(**{**ask, "history": tuple(Turn(**turn) for turn in ask.get("history", ()))})


def recorded_passages(session: Session, record: AnswerRecord) -> tuple[list[Passage], int]:
    """The passages as they were, read from the recorded versions, and how many are gone."""
    passages: list[Passage] = []
    sources = record.request["sources"]
    for place in sources:
        start, end = place["char_start"], place["char_end"]
        row = session.execute(
            select(Document, DocumentVersion, func.substr(ExtractedText.text, start + 1, end - start))
            .join(DocumentVersion, DocumentVersion.document_id == Document.id)
            .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
            .where(Document.id == place["document_id"], DocumentVersion.number == place["version"])
        ).one_or_none()
        if row is None:
            continue
        document, version, text = row
        passages.append(
            Passage(
                chunk_id=place["chunk_id"],
                document=DocumentRef(
                    document.id, document.external_id, version.number, version.title, version.url, version.meta
                ),
                text=text,
                heading_path=tuple(place["heading_path"]),
                page=place["page"],
                char_start=start,
                char_end=end,
                context=place["context"],
            )
        )
    return passages, len(sources) - len(passages)


def compare_answers(before: Mapping[str, Any], after: Mapping[str, Any], missing: int) -> dict[str, Any]:
    """What a replay changed: status, text (as a unified diff) and how many recorded passages are gone."""
    old, new = str(before["answer"]), str(after["answer"])
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "recorded", "replayed", lineterm="")
    return {
        "same": old == new and before["status"] == after["status"],
        "status": [before["status"], after["status"]],
        "answer": list(lines),
        "missing_passages": missing,
    }


def _place(passage: Passage) -> dict[str, Any]:
    return {
        "chunk_id": passage.chunk_id,
        "document_id": passage.document.id,
        "version": passage.document.version,
        "char_start": passage.char_start,
        "char_end": passage.char_end,
        "heading_path": list(passage.heading_path),
        "page": passage.page,
        "context": passage.context,
    }
