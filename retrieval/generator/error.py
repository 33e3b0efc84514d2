"""What went wrong with a model server, told as one of the generator's errors, and which workaround helps."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import httpx2

from retrieval.answers.writer import GeneratorUnavailable


class Quirk(StrEnum):
    """A way in which a server or model differs from the usual, told by its error message."""

    NO_CHAT_TEMPLATE = "no_chat_template"
    NO_SYSTEM_ROLE = "no_system_role"
    NO_TEMPERATURE = "no_temperature"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"
    OTHER_PATH = "other_path"
    TOO_LONG = "too_long"


class RequestFailedError(Exception):
    """A request failed with ``error``; ``started``: the answer's stream had been opened."""

    def __init__(self, error: BaseException, *, started: bool) -> None:
        super().__init__()
        self.error = error
        self.started = started


class RetryError(Exception):
    """Send another request; ``failed`` is the chat request that a plain prompt is to be tried for."""

    def __init__(self, failed: RequestFailedError | None = None) -> None:
        super().__init__()
        self.failed = failed


# Looked for in this order: messages about length also name max_completion_tokens, those about roles also
# the template.
_QUIRKS = {
    Quirk.TOO_LONG: re.compile(
        r"context (?:length|window|size)|maximum (?:input|sequence) length"
        r"|max_model_len|max_total_tokens"
        r"|(?:prompt|input|request) (?:is )?too long|must have less than \d+ tokens|max_new_tokens. must"
        r"|exceeds? .{0,40}(?:context|tokens)|token limit",
        re.IGNORECASE,
    ),
    Quirk.NO_SYSTEM_ROLE: re.compile(
        r"system (?:role|message|prompt)s? .{0,30}(?:not|isn't|un)|roles? must alternate"
        r"|only (?:supports? )?user and assistant roles|(?:unknown|unsupported|unexpected|invalid) role",
        re.IGNORECASE,
    ),
    Quirk.NO_CHAT_TEMPLATE: re.compile(r"chat[ _]?template|template error|template not found", re.IGNORECASE),
    Quirk.MAX_COMPLETION_TOKENS: re.compile(r"max_completion_tokens", re.IGNORECASE),
    Quirk.NO_TEMPERATURE: re.compile(r"temperature", re.IGNORECASE),
}
_WINDOW = re.compile(r"(?:maximum context length|context window|context size)\D{0,20}?(\d{3,8})", re.IGNORECASE)

_PINNED = re.compile(r"pinned to '([^']+)'")

_BY_STATUS = {
    401: "The model server refused the API key (status 401): check FOOTNOTE_LLM_API_KEY.",
    403: "The model server forbids this request (status 403): check FOOTNOTE_LLM_API_KEY.",
    404: "The model server knows no such path or model (status 404): "
    "check FOOTNOTE_LLM_BASE_URL and FOOTNOTE_LLM_MODEL.",
    408: "The model server gave up waiting (status 408).",
    429: "The model server is overloaded (status 429): try again later.",
    503: "The model server is not ready or overloaded (status 503): try again later.",
}


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error, or what it was raised from, carries."""
    response = _response_of(error)
    return response.status_code if response is not None else None


def message_of(error: BaseException) -> str:
    """What the server said: for workarounds only, never shown, since it may repeat the question."""
    response = _response_of(error)
    if response is None:
        return str(error)
    try:
        return response.text
    except (httpx2.ResponseNotRead, httpx2.StreamError):
        return ""


def _response_of(error: BaseException) -> httpx2.Response | None:
    responses = (getattr(cause, "response", None) for cause in _causes(error))
    return next((response for response in responses if isinstance(response, httpx2.Response)), None)


def quirk_of(error: BaseException) -> Quirk | None:
    """The quirk that an error tells of, if any."""
    status = status_of(error)
    if status in (401, 403, 429, 503):
        return None
    if status == 405:
        return Quirk.OTHER_PATH
    message = message_of(error)
    found = next((quirk for quirk, pattern in _QUIRKS.items() if pattern.search(message)), None)
    if found is None and status == 404:
        return Quirk.OTHER_PATH
    return found


def window_of(error: BaseException) -> int | None:
    """The context window in tokens that an error of a too long request names."""
    found = _WINDOW.search(message_of(error))
    return int(found[1]) if found else None


def pinned_model(error: BaseException) -> str | None:
    """The only model that the server takes, as ``transformers serve`` names it to a request for another."""
    found = _PINNED.search(message_of(error)) if status_of(error) == 400 else None
    return found[1] if found else None


def unavailable(error: BaseException, *, started: bool, named: bool = True) -> GeneratorUnavailable:
    """``error`` of a request as the caller is told of it; ``started``: the answer's stream had been opened,
    ``named``: the model's name was known.
    """
    status = status_of(error)
    if status is not None and status >= 400:
        if quirk_of(error) is Quirk.TOO_LONG:
            detail = f"The request is too long for the language model's context window (status {status})."
        else:
            detail = _BY_STATUS.get(status) or (
                f"The model server failed (status {status})."
                if status >= 500
                else f"The model server rejected the request (status {status})."
            )
            if status in (400, 404, 422) and not named:
                detail += " It does not say which model it serves: set FOOTNOTE_LLM_MODEL."
        return GeneratorUnavailable(detail, code="generator_down")
    if isinstance(error, httpx2.DecodingError | httpx2.SSEError) or not isinstance(error, httpx2.HTTPError):
        return garbage()
    if started:
        return interrupted()
    causes = tuple(_causes(error))
    if any(isinstance(cause, httpx2.ConnectTimeout) for cause in causes):
        return GeneratorUnavailable("The model server could not be reached in time.", code="generator_down")
    if any(isinstance(cause, httpx2.TimeoutException) for cause in causes):
        return timed_out("did not answer in time")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        detail = "The model server's host name could not be resolved: check FOOTNOTE_LLM_BASE_URL."
    elif any(isinstance(cause, ssl.SSLError) for cause in causes):
        detail = "The model server's TLS certificate was not accepted."
    elif any(isinstance(cause, httpx2.ConnectError) for cause in causes):
        detail = "The model server refused the connection: it is not running, or not at this address."
    elif isinstance(error, httpx2.TransportError):
        detail = "The model server closed the connection without an answer."
    else:
        detail = "The model server reported an error instead of an answer."
    return GeneratorUnavailable(detail, code="generator_down")


def garbage() -> GeneratorUnavailable:
    """What came is not what the API should send."""
    return GeneratorUnavailable(
        "The model server answered with something that is no stream of text: "
        "check FOOTNOTE_LLM_BASE_URL and FOOTNOTE_LLM_API.",
        code="generator_garbage",
    )


def interrupted() -> GeneratorUnavailable:
    """The stream ended before the answer did."""
    return GeneratorUnavailable("The model server stopped in the middle of the answer.", code="generator_interrupted")


def spent_on_reasoning() -> GeneratorUnavailable:
    """The model reasoned until its tokens were used up."""
    return GeneratorUnavailable(
        "The language model used up its tokens on reasoning before it answered.", code="generator_interrupted"
    )


def timed_out(what: str) -> GeneratorUnavailable:
    """A limit of time was passed; ``what`` completes "The model server …"."""
    return GeneratorUnavailable(f"The model server {what}.", code="generator_timeout")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was raised from, members of groups included."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            queue += current.exceptions
