"""``/v1/answer`` and ``/v1/answers``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from api.asking import ask_events, ask_once
from api.caller import Caller
from api.problems import error_problem, request_id
from api.search_view import check_question
from api.search_view import describe as describe_passage
from api.services import Services
from api.sse import event_stream
from api.wire import AnswerBody, FeedbackBody
from infra.clock import iso
from infra.errors import FootnoteError
from retrieval.answers.answer import IndexState
from retrieval.answers.answering import DEFAULT_TOP_K, Ask, Checked, Delta, Done, Event, Retrieved, answer_again
from retrieval.answers.records import (
    add_feedback,
    answer_body,
    compare_answers,
    describe,
    get_record,
    recorded_ask,
    recorded_passages,
)
from retrieval.answers.writer import Turn


@post("/v1/answer", status_code=200, summary="Answer a question")
async def answer(
    request: Request[Any, Any, Any],
    data: JSONBody[AnswerBody],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> Response[dict[str, Any]] | Stream:
    """Answer from the documents, with a verdict and citations for every sentence; abstain when they don't say.

    With ``stream`` the answer comes as server-sent events: ``retrieval``, ``delta``, ``sentence``, then ``done`` or ``error``.
    """
    caller.require("answer")
    ask = Ask(
        question=check_question(data.question, "question"),
        history=tuple(Turn(turn.role, turn.content) for turn in data.messages or ()),
        collections=data.collections,
        filter=data.filter,
        top_k=data.top_k or DEFAULT_TOP_K,
        audience=data.audience,
    )
    if not data.stream:
        return Response(answer_body((await ask_once(services, ask, caller)).answer))
    events = ask_events(services, ask, caller)
    # The first event is awaited here, so that a bad request is still answered with its status.
    first = await anext(events)
    return event_stream(_wire_events(first, events, request_id(request)))


async def _wire_events(
    first: Event, events: AsyncGenerator[Event, None], identifier: str
) -> AsyncIterator[tuple[str, Any]]:
    async with aclosing(events):
        yield _wire_event(first)
        try:
            async for event in events:
                yield _wire_event(event)
        except FootnoteError as error:
            yield "error", error_problem(error, identifier)


def _wire_event(event: Event) -> tuple[str, Any]:
    match event:
        case Retrieved():
            passages = [describe_passage(passage) for passage in event.passages]
            return "retrieval", {"results": passages, "index": event.index}
        case Delta():
            return "delta", {"text": event.text}
        case Checked():
            s = event.sentence
            verdict = {"text": s.text, "verdict": s.verdict, "score": round(s.score, 4), "reason": s.reason}
            return "sentence", verdict
        case Done():
            return "done", answer_body(event.answer)


@get("/v1/answers/{answer_id:str}", sync_to_thread=True, summary="Show an answer's record")
def show(
    answer_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """The answer as it was given; without its text once a cited document was deleted."""
    caller.require("answer")
    with services.database.read() as session:
        return describe(get_record(session, answer_id, caller.access, caller.owner_filter))


@post("/v1/answers/{answer_id:str}/replay", status_code=200, summary="Replay an answer")
async def replay(
    answer_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Answer the same question again from the recorded document versions, and say what differs."""
    caller.require("answer")

    def load() -> tuple[dict[str, Any], Ask, Any, int]:
        with services.database.read() as session:
            record = get_record(session, answer_id, caller.access, caller.owner_filter)
            passages, missing = recorded_passages(session, record)
            return describe(record), recorded_ask(record), passages, missing

    recorded, ask, passages, missing = await asyncio.to_thread(load)
    index = IndexState(**recorded["index"])
    again = answer_body((await answer_again(services.engine, ask, passages, index)).answer)
    return {"recorded": recorded, "replayed": again, "diff": compare_answers(recorded, again, missing)}


@post("/v1/answers/{answer_id:str}/feedback", sync_to_thread=True, summary="Judge an answer")
def feedback(
    answer_id: FromPath[str],
    data: JSONBody[FeedbackBody],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Keep a reader's judgement: ``up`` or ``down``, with a comment and the right answer if there is one."""
    caller.require("answer")
    with services.database.write() as session:
        record = get_record(session, answer_id, caller.access, caller.owner_filter)
        kept = add_feedback(session, record, data.rating, data.comment, data.correction)
        return {"id": kept.id, "answer_id": answer_id, "rating": kept.rating, "created_at": iso(kept.created_at)}


HANDLERS = [answer, show, replay, feedback]
