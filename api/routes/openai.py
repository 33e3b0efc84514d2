"""``/v1/chat/completions`` and ``/v1/models`` in OpenAI's shapes, for tools that speak nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream
from sqlalchemy import select

from api.asking import ask_events, ask_once
from api.caller import Caller
from api.search_view import check_question
from api.services import Services
from api.sse import stream
from api.wire import MAX_QUESTION, ChatBody, ChatMessage
from infra.errors import InvalidInput, NotFound
from infra.tables import Collection
from retrieval.answers.answer import Answer
from retrieval.answers.answering import Ask, Done, Retrieved
from retrieval.answers.records import answer_body
from retrieval.answers.writer import Turn

MODEL = "footnote"


@get("/v1/models", sync_to_thread=True, summary="List models")
def models(services: NamedDependency[Services], caller: NamedDependency[Caller]) -> dict[str, Any]:
    """``footnote`` (every readable collection) and ``footnote/<collection>``."""
    caller.require("answer", "search")
    with services.database.read() as session:
        rows = session.scalars(select(Collection).order_by(Collection.name)).all()
    entries = [{"id": MODEL, "object": "model", "created": 0, "owned_by": "footnote"}]
    entries += [
        {
            "id": f"{MODEL}/{row.name}",
            "object": "model",
            "created": int(row.created_at.timestamp()),
            "owned_by": "footnote",
        }
        for row in rows
    ]
    return {"object": "list", "data": entries}


@post("/v1/chat/completions", status_code=200, summary="Complete a chat, as OpenAI's API does")
async def complete(
    data: JSONBody[ChatBody], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> Response[dict[str, Any]] | Stream:
    """Answer the last user message. The content carries ``[1]`` marks; ``footnote`` holds the whole answer object.

    A stream sends the answer once it is checked, sentence by sentence: nothing unproven leaves unmarked.
    """
    caller.require("answer")
    ask = _ask(data)
    created = int(time.time())
    if not data.stream:
        done = await ask_once(services, ask, caller)
        return Response(_completion(done.answer, data.model, created))
    events = ask_events(services, ask, caller)
    first = await anext(events)
    if not isinstance(first, Retrieved):
        raise TypeError("an answer's events begin with what was retrieved")

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for event in events:
                if isinstance(event, Done):
                    for chunk in _chunks(event.answer, data, created):
                        yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
            yield b"data: [DONE]\n\n"
        finally:
            await events.aclose()

    return stream(pieces())


def _ask(data: ChatBody) -> Ask:
    turns = [Turn(_role(message), _text(message)) for message in data.messages if _text(message).strip()]
    if not turns or turns[-1].role != "user":
        raise InvalidInput("The last message must be the user's, and not empty.", code="no_user_message")
    question = check_question(turns[-1].content, "question")
    if len(question) > MAX_QUESTION:
        raise InvalidInput(
            f"The last message has {len(question)} characters; at most {MAX_QUESTION} are allowed.",
            code="question_too_long",
        )
    return Ask(question=question, history=tuple(turns[:-1]), collections=_collections(data.model))


def _collections(model: str) -> Sequence[str] | None:
    if model == MODEL:
        return None
    prefix, _, name = model.partition("/")
    if prefix != MODEL or not name:
        raise NotFound(
            f"There is no model {model[:100]!r}; allowed: {MODEL}, or {MODEL}/<collection>.", code="model_not_found"
        )
    return [name]


def _role(message: ChatMessage) -> Any:
    if message.role in ("user", "assistant"):
        return message.role
    if message.role in ("system", "developer", "tool", "function"):
        return "system"
    raise InvalidInput(f"{message.role[:40]!r} is not a role; allowed: system, developer, user, assistant, tool.")


def _text(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "\n".join(str(part.get("text", "")) for part in message.content if part.get("type") == "text")


def _completion(answer: Answer, model: str, created: int) -> dict[str, Any]:
    return {
        "id": "chatcmpl-" + answer.id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.answer},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "footnote": answer_body(answer),
    }


def _chunks(answer: Answer, data: ChatBody, created: int) -> list[dict[str, Any]]:
    """The answer as chunks that join to its text, a sentence each, then one with the reason and the answer object."""
    cuts = [0, *(sentence.end for sentence in answer.sentences[:-1]), len(answer.answer)]
    texts = [answer.answer[start:end] for start, end in pairwise(cuts)]

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-" + answer.id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": data.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}],
        }

    body = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]
    last = {**chunk({}, "stop"), "footnote": answer_body(answer)}
    if (data.stream_options or {}).get("include_usage"):
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return [
            *body,
            {**last, "footnote": None},
            {**chunk({}), "choices": [], "usage": usage, "footnote": answer_body(answer)},
        ]
    return [*body, last]


HANDLERS = [models, complete]
