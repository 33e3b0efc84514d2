"""``Idempotency-Key``: a POST that is sent again does its work once and gets the first response again."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from api.body import read_whole
from api.caller import identify
from api.services import Services
from infra.clock import in_utc, now
from infra.database import Database
from infra.errors import Conflict, InvalidInput
from infra.tables import IdempotentResponse

_KEPT = timedelta(hours=24)
_ABANDONED = timedelta(minutes=10)
# A response larger than this is not kept: nothing that a POST creates comes near it.
_MAX_BODY = 2**22
# Of an upload, so much is compared.
_COMPARED = 2**20


@dataclass(frozen=True, slots=True)
class _Kept:
    status: int
    body: bytes
    content_type: bytes


class Idempotency(ASGIMiddleware):
    """Keeps the responses of POSTs that create something (201 and 202) for 24 hours, by caller and key.

    The same key with another request is an error, as is a repeat while the first is still being worked on. Failures are
    not kept, and neither are answers and search results: they are texts of documents, which may be deleted or hidden
    since. A repeated ``POST /v1/keys`` does not show the secret again.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """See the class."""
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
        if not key or scope["method"] != "POST":
            await next_app(scope, receive, send)
            return
        if len(key) > 255:
            raise InvalidInput("An Idempotency-Key has at most 255 characters.", code="invalid_idempotency_key")
        services: Services = scope["litestar_app"].state.services
        database, auth = services.database, services.settings.auth
        # A kept response is for callers that would be let in now.
        given = [headers.get(name) for name in (b"authorization", b"x-footnote-groups")]
        authorization, groups = (None if value is None else value.decode("latin-1") for value in given)
        await asyncio.to_thread(identify, database, auth, authorization, groups)
        body, receive = await _read_body(headers, receive)
        owner = _hash(headers.get(b"authorization", b""), headers.get(b"x-footnote-groups", b""))
        request = _hash(scope["path"].encode(), scope["query_string"], body)
        del body  # it is given again piece by piece
        kept = await asyncio.to_thread(_claim, database, owner, key, request)
        if kept is not None:
            await _send_kept(send, kept)
            return

        async def settle(result: _Kept | None) -> None:
            await asyncio.to_thread(_settle, database, owner, key, result)

        recorder = _Recorder(send, settle, secret=scope["path"] == "/v1/keys")
        try:
            await next_app(scope, receive, recorder)
        finally:
            if not recorder.complete:
                await settle(None)


class _Recorder:
    """Passes a response on and keeps a copy, which is settled before the end is sent: a repeat may follow at once."""

    def __init__(self, send: Send, settle: Callable[[_Kept | None], Awaitable[None]], *, secret: bool) -> None:
        self._send = send
        self._settle = settle
        self._secret = secret
        self._status = 500
        self._type = b""
        self._pieces: list[bytes] = []
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._type = dict(message["headers"]).get(b"content-type", b"")
        elif message["type"] == "http.response.body":
            self._pieces.append(message.get("body", b""))
            if not message.get("more_body", False) and not self.complete:
                self.complete = True
                await self._settle(self._result())
        await self._send(message)

    def _result(self) -> _Kept | None:
        body = b"".join(self._pieces)
        if self._status not in (201, 202) or not self._type.startswith(b"application/json"):
            return None
        if len(body) > _MAX_BODY or body[:2] == b"\x1f\x8b":
            return None
        if self._secret:
            body = msgspec.json.encode({**msgspec.json.decode(body), "secret": None})
        return _Kept(self._status, body, self._type)


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> tuple[bytes, Receive]:
    """What stands for the body when requests are compared, and a ``receive`` that gives it again.

    An upload is read only as far as ``_COMPARED``; its length stands for the rest. Its boundary is left out: clients
    draw a new one for each request. Raises as ``read_whole`` does.
    """
    kind = headers.get(b"content-type", b"")
    upload = kind.lower().startswith(b"multipart/")
    messages: deque[Any] = deque()
    size, more = 0, True

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal size, more
        while more and not (upload and size >= _COMPARED):
            message: Any = await receive()
            messages.append(message)
            if message["type"] == "http.disconnect":
                break
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            yield message.get("body", b"")

    body = await read_whole(pieces())

    async def again() -> Any:
        return messages.popleft() if messages else await receive()

    if upload:
        boundary = kind.partition(b"boundary=")[2].partition(b";")[0].strip(b'" ')
        return headers.get(b"content-length", b"") + b"\0" + _without(body[:_COMPARED], boundary), again
    return body, again


def _without(body: bytes, boundary: bytes) -> bytes:
    return body.replace(boundary, b"") if boundary else body


def _claim(database: Database, owner: str, key: str, request: str) -> _Kept | None:
    """The kept response, or ``None`` when the work is ours to do."""
    moment = now()
    try:
        with database.write() as session:
            session.execute(delete(IdempotentResponse).where(IdempotentResponse.created_at < moment - _KEPT))
            row = session.get(IdempotentResponse, (owner, key))
            if row is not None:
                if row.request_hash != request:
                    raise InvalidInput(
                        "This Idempotency-Key was used for another request; use a new one.",
                        code="idempotency_key_reused",
                    )
                if row.status is not None and row.body is not None:
                    return _Kept(row.status, row.body.encode(), b"application/json")
                if moment - in_utc(row.created_at) < _ABANDONED:
                    raise Conflict(
                        "The first request with this Idempotency-Key is still running.", code="request_in_progress"
                    )
                session.delete(row)
                session.flush()
            session.add(IdempotentResponse(scope=owner, key=key, request_hash=request, created_at=moment))
    except IntegrityError:
        raise Conflict(
            "The first request with this Idempotency-Key is still running.", code="request_in_progress"
        ) from None
    return None


def _settle(database: Database, owner: str, key: str, result: _Kept | None) -> None:
    with database.write() as session:
        row = session.get(IdempotentResponse, (owner, key))
        if row is None:
            return
        if result is None:
            session.delete(row)
        else:
            row.status, row.body = result.status, result.body.decode()


async def _send_kept(send: Send, kept: _Kept) -> None:
    headers = [
        (b"content-type", kept.content_type),
        (b"content-length", str(len(kept.body)).encode()),
        (b"idempotent-replayed", b"true"),
    ]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body, "more_body": False})


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
