"""The events of a model server's stream, in the three shapes they come in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx2

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Event:
    """One step: text of the answer, a sign of reasoning that the server keeps apart, or how the stream
    finished.
    """

    text: str = ""
    reasoning: bool = False
    finish: Finish | None = None


def chat_event(chunk: Any) -> Event | None:
    """An event of OpenAI's ``chat.completion.chunk``; ``None`` for one without choices, such as the usage
    at the end.

    Raises ``ValueError`` or ``AttributeError`` for another shape.
    """
    choice = _first_choice(chunk.choices)
    if choice is None:
        return None
    delta = choice.delta
    if delta is None:
        return Event(finish=_finish(choice.finish_reason))
    reasoning = delta.reasoning or delta.get("reasoning_content")
    return Event(_content(delta.content), bool(reasoning), _finish(choice.finish_reason))


def token_event(output: Any) -> Event:
    """An event of TGI's ``/generate_stream``: one token, and with the last one the details.

    Raises ``ValueError`` or ``AttributeError`` for another shape.
    """
    text = "" if output.token.special else _content(output.token.text)
    reason = output.details.finish_reason if output.details is not None else None
    if reason is None and output.generated_text is not None:
        reason = "eos_token"
    return Event(text, finish=_finish(reason))


def completion_event(data: str) -> Event | None:
    """An event of OpenAI's ``text_completion``, given as JSON; ``None`` for one without choices.

    Raises ``httpx2.RemoteProtocolError`` for an error that the server reports, ``ValueError`` for another
    shape.
    """
    body = json.loads(data)
    if not isinstance(body, Mapping):
        raise ValueError("not an object")
    if body.get("error"):
        raise httpx2.RemoteProtocolError(json.dumps(body["error"]))
    choice = _first_choice(body.get("choices"))
    if choice is None:
        return None
    return Event(_content(choice.get("text")), finish=_finish(choice.get("finish_reason")))


def _first_choice(choices: Any) -> Any:
    if choices is None or choices == []:
        return None
    if not isinstance(choices, list):
        raise ValueError("choices is no list")
    return choices[0]


def _content(value: Any) -> str:
    """Text, or the text parts of a list of typed parts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return "".join(_content(p.get("text")) for p in value if isinstance(p, Mapping) and p.get("type") == "text")
    raise ValueError("content is no text")


def _finish(reason: Any) -> Finish | None:
    if reason is None or reason == "":
        return None
    return "length" if reason == "length" else "stop"
