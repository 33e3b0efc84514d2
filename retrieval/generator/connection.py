"""The connection to a model server: its address without credentials, and the pool that requests borrow."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx2

from infra.errors import SettingsError

_ENDPOINTS = re.compile(r"/(?:chat/completions|completions|models|generate_stream|generate|health|info)/?$")
_VERSION = re.compile(r"/v\d\w*(?:/|$)")
_ERROR_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model server is: ``openai`` is the root of its OpenAI paths (``…/v1``), ``native`` the root
    of TGI's own.

    ``authorization`` is the header's value that was given as user and password in the URL; neither root has
    them.
    """

    openai: str
    native: str
    authorization: str | None


def parse_address(url: str) -> Address:
    """Read a base URL as people write it: with or without ``/v1``, a slash at the end, or a whole endpoint.

    Raises ``SettingsError`` for what is no http(s) URL; the message does not repeat the URL, which may hold
    a password.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(
            "The model server's address must be an http or https URL such as http://127.0.0.1:8080/v1.",
            code="bad_llm_base_url",
        )
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    location = f"[{host}]" if ":" in host else host
    location += f":{port}" if port is not None else ""
    path = _ENDPOINTS.sub("", parts.path.rstrip("/")).rstrip("/")
    native = re.sub(r"/v1$", "", path)
    openai = path if _VERSION.search(path) else f"{path}/v1"
    return Address(
        openai=urlunsplit((parts.scheme, location, openai, "", "")),
        native=urlunsplit((parts.scheme, location, native, "", "")),
        authorization=authorization,
    )


class Connection:
    """The pool of connections to one model server, set up once: TLS settings alone take 40 ms.

    ``client()`` makes a client that borrows the pool: closing it closes its own streams and leaves the pool
    open. Credentials and the connect timeout are put on each request here, so that nothing else has to know
    them, and a token that a library finds on the machine is not sent. No proxy variables are followed.
    """

    def __init__(self, authorization: str | None, connect_timeout_s: float) -> None:
        self._authorization = authorization
        self._timeout = httpx2.Timeout(None, connect=connect_timeout_s).as_dict()
        self._pool: httpx2.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def client(self) -> httpx2.AsyncClient:
        """A client on the shared pool, for the running event loop."""
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:  # connections belong to the loop they were opened in
            self._pool, self._loop = httpx2.AsyncHTTPTransport(), loop
        return httpx2.AsyncClient(
            transport=_Borrowed(self._pool, self._authorization, self._timeout),
            event_hooks={"response": [_read_error_body]},
            follow_redirects=False,
            timeout=None,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close all connections. The next ``client()`` opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None and self._loop is asyncio.get_running_loop():
            await pool.aclose()


class _Borrowed(httpx2.AsyncBaseTransport):
    """A transport whose closing leaves the pool behind it open."""

    def __init__(
        self, pool: httpx2.AsyncBaseTransport, authorization: str | None, timeout: dict[str, float | None]
    ) -> None:
        self._pool = pool
        self._authorization = authorization
        self._timeout = timeout

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers.pop("Authorization", None)
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        request.headers["User-Agent"] = "footnote"
        request.extensions = {**request.extensions, "timeout": self._timeout}
        try:
            return await self._pool.handle_async_request(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            # Most often a kept connection that the server has closed; asking for text again does no harm.
            return await self._pool.handle_async_request(request)

    async def aclose(self) -> None:
        """Leave the pool open."""


async def _read_error_body(response: httpx2.Response) -> None:
    """Load what a server says with an error status: it tells which workaround helps."""
    length = response.headers.get("Content-Length", "0")
    if response.status_code >= 400 and length.isdigit() and int(length) < _ERROR_BODY_BYTES:
        await response.aread()
