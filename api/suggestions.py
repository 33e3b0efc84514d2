"""Drafted replies to support tickets: a question read out of the ticket, an answer with proof, a text to send."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.caller import Caller
from api.wire import MAX_QUESTION, SuggestionBody, Ticket
from infra.errors import InvalidInput, NotFound
from infra.tables import AnswerRecord, Suggestion
from retrieval.answers.answer import Answer, Status
from retrieval.verify.marks import strip_marks
from retrieval.verify.verification import Verdict

_QUOTED = re.compile(r"(?m)^>.*\n?")
_MIN_WORDS = 4


def ticket_question(ticket: Ticket) -> str:
    """What the customer asks: their last message without quoted mail, with the subject where it says little by itself."""
    texts = [message.text for message in ticket.messages if message.author == "customer"]
    if not texts:
        raise InvalidInput("The ticket has no message by the customer.", code="no_customer_message")
    question = _QUOTED.sub("", texts[-1]).strip()
    if len(question.split()) < _MIN_WORDS and ticket.subject:
        question = f"{ticket.subject.strip()}\n{question}".strip()
    if not question:
        raise InvalidInput("The customer's last message is empty.", code="empty_question")
    return question[:MAX_QUESTION]


def revision_of(ticket: Ticket) -> str:
    """The ticket's revision, or one made of its messages where the caller keeps none."""
    if ticket.revision is not None:
        return str(ticket.revision)
    return "sha-" + hashlib.sha256(msgspec.json.encode([ticket.subject, ticket.messages])).hexdigest()[:16]


def scope_of(body: SuggestionBody, caller: Caller) -> str:
    """Who may share a suggestion: same groups, same audience, same collections."""
    groups = None if caller.access.groups is None else sorted(caller.access.groups)
    described = msgspec.json.encode([groups, body.audience, sorted(body.collections or [])])
    return hashlib.sha256(described).hexdigest()


def draft_text(answer: Answer, audience: str) -> str:
    """The reply to send. For a customer: proven sentences only, without marks; empty when there is nothing proven to say."""
    if answer.status is Status.ABSTAINED:
        return ""
    if audience == "internal":
        return answer.answer
    proven = [s.text for s in answer.sentences if s.verdict is not Verdict.UNSUPPORTED]
    return " ".join(strip_marks(text, len(answer.citations)).text.strip() for text in proven)


def find_suggestion(session: Session, ticket: Ticket, scope: str) -> Suggestion | None:
    """The suggestion that this revision of the ticket already has."""
    return session.scalar(
        select(Suggestion).where(
            Suggestion.ticket_id == ticket.id, Suggestion.revision == revision_of(ticket), Suggestion.scope == scope
        )
    )


def get_suggestion(session: Session, suggestion_id: str, caller: str | None) -> Suggestion:
    """A suggestion of this caller (``None`` = an administrator); raises ``NotFound``."""
    found = session.get(Suggestion, suggestion_id)
    if found is None or (caller is not None and found.caller != caller):
        raise NotFound("There is no such suggestion.", code="suggestion_not_found")
    return found


def describe(suggestion: Suggestion, record: AnswerRecord) -> dict[str, Any]:
    """A suggestion as callers see it: the answer object with the draft, under the suggestion's own id."""
    draft = "" if record.redacted else suggestion.draft
    return {
        **record.body,
        "id": suggestion.id,
        "answer_id": record.id,
        "draft": draft,
        "ticket": {"id": suggestion.ticket_id, "revision": suggestion.revision},
        "outcome": suggestion.outcome,
    }
