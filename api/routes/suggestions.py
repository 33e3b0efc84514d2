"""``/v1/suggestions``: drafted replies for support tools."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.exc import IntegrityError

from api.asking import ask_once
from api.caller import Caller
from api.services import Services
from api.suggestions import (
    describe,
    draft_text,
    find_suggestion,
    get_suggestion,
    revision_of,
    scope_of,
    ticket_question,
)
from api.wire import OutcomeBody, SuggestionBody
from infra.clock import now
from infra.ids import new_id
from infra.tables import Suggestion
from retrieval.answers.answering import Ask
from retrieval.answers.records import get_record
from retrieval.answers.writer import Turn


@post("/v1/suggestions", status_code=200, summary="Draft a reply to a ticket")
async def suggest(
    data: JSONBody[SuggestionBody], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Draft a reply with proof; the same revision of a ticket always gets the same suggestion."""
    caller.require("answer")
    scope = scope_of(data, caller)
    known = await asyncio.to_thread(_find, services, data, scope, caller)
    if known is not None:
        return known
    earlier = data.ticket.messages[:-1]
    ask = Ask(
        question=ticket_question(data.ticket),
        history=tuple(Turn("user" if m.author == "customer" else "assistant", m.text) for m in earlier),
        collections=data.collections,
        audience=data.audience,
    )
    done = await ask_once(services, ask, caller)
    suggestion = Suggestion(
        id=new_id("sug"),
        ticket_id=data.ticket.id,
        revision=revision_of(data.ticket),
        scope=scope,
        caller=caller.name,
        answer_id=done.answer.id,
        draft=draft_text(done.answer, data.audience),
        created_at=now(),
    )
    await asyncio.to_thread(_store, services, suggestion)
    stored = await asyncio.to_thread(_find, services, data, scope, caller)
    if stored is None:
        raise RuntimeError("a suggestion vanished after it was stored")
    return stored


@get("/v1/suggestions/{suggestion_id:str}", sync_to_thread=True, summary="Show a suggestion")
def show(
    suggestion_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """A suggestion and what became of it."""
    caller.require("answer")
    with services.database.read() as session:
        suggestion = get_suggestion(session, suggestion_id, caller.owner_filter)
        return describe(suggestion, get_record(session, suggestion.answer_id, caller.access, None))


@post("/v1/suggestions/{suggestion_id:str}/outcome", sync_to_thread=True, status_code=200, summary="Report an outcome")
def outcome(
    suggestion_id: FromPath[str],
    data: JSONBody[OutcomeBody],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Say what the agent did with the draft, and what was sent in the end."""
    caller.require("answer")
    with services.database.write() as session:
        suggestion = get_suggestion(session, suggestion_id, caller.owner_filter)
        suggestion.outcome, suggestion.final_text = data.used, data.final_text
        return {"id": suggestion.id, "used": data.used, "final_text": data.final_text}


def _find(services: Services, data: SuggestionBody, scope: str, caller: Caller) -> dict[str, Any] | None:
    with services.database.read() as session:
        known = find_suggestion(session, data.ticket, scope)
        return None if known is None else describe(known, get_record(session, known.answer_id, caller.access, None))


def _store(services: Services, suggestion: Suggestion) -> None:
    try:
        with services.database.write() as session:
            session.add(suggestion)
    except IntegrityError:
        # The same revision was asked for twice at once: the first one stored is everybody's.
        return


HANDLERS = [suggest, show, outcome]
