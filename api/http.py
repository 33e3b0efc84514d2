"""What every request goes through: an id, a look at where it comes from, metrics and one log line."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import msgspec
import structlog
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import HTTPSendMessage

from api.problems import MEDIA_TYPE, problem
from infra.ids import new_id
from infra.settings import is_loopback
from infra.telemetry import observe_request

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

log = structlog.get_logger()


class RequestFrame(ASGIMiddleware):
    """Gives each request its id and its log line, and counts it.

    With ``loopback_only`` (auth off) it also refuses what a web page on another site could make a browser send: a request to
    another host name (DNS rebinding) or from another origin.
    """

    def __init__(self, *, loopback_only: bool) -> None:
        self._loopback_only = loopback_only

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """See the class."""
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        identifier = given if _GIVEN_ID.fullmatch(given) else new_id("req")
        scope.setdefault("state", {})["request_id"] = identifier
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableScopeHeaders.from_message(message)["X-Request-Id"] = identifier
            await send(message)

        try:
            if self._loopback_only and not _from_here(headers):
                await _refuse(send_with_id, identifier)
            else:
                await next_app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = str(scope.get("path_template") or "other")
            observe_request(scope["method"], route, status, seconds)
            # The path's parameters are names of documents: only the route is logged, never the query string.
            log.info(
                "request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1),
                request_id=identifier,
            )  # fmt: skip


def _from_here(headers: dict[bytes, str]) -> bool:
    host = urlsplit("//" + headers.get(b"host", "")).hostname or ""
    origin = headers.get(b"origin")
    if not is_loopback(host):
        return False
    return origin is None or is_loopback(urlsplit(origin).hostname or "")


async def _refuse(send: Send, identifier: str) -> None:
    body = problem(
        403,
        "foreign_origin",
        "Forbidden",
        "With authentication off, only requests to and from this machine's own addresses are answered.",
        identifier,
    )
    content = msgspec.json.encode(body)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode())]
    start: HTTPSendMessage = {"type": "http.response.start", "status": 403, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": content, "more_body": False})
