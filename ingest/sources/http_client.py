"""HTTP for sources: only to addresses that are allowed, redirects followed by hand, with limits of size and time."""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from ingest.sources.address import AddressRefused, AddressRules, HostUnknown

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 10
_PIECE = 64 * 1024


class HttpFailed(Exception):  # noqa: N818 - names what happened
    """No answer that can be used: a stable ``code`` and a sentence. ``transient`` = trying again may help."""

    def __init__(self, code: str, detail: str, *, transient: bool = False) -> None:
        super().__init__(detail)
        self.code, self.detail, self.transient = code, detail, transient


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """``max_bytes`` of a body once it is decoded; ``timeout_s`` for a whole request; ``connect_s`` for a connection."""

    max_bytes: int = 100 * 2**20
    timeout_s: float = 120.0
    connect_s: float = 10.0


@dataclass(slots=True)
class _Deadline:
    """When the request under way must be done; the connections, which outlive a request, look it up here."""

    clock: Callable[[], float]
    at: float = 0.0

    def left(self, timeout: float | None) -> float:
        """Seconds that one more wait may take; raises ``httpcore2.ReadTimeout`` when there are none."""
        left = self.at - self.clock()
        if left <= 0:
            raise httpcore2.ReadTimeout("the whole request took too long")
        return left if timeout is None else min(left, timeout)


class _Stream(httpcore2.NetworkStream):
    """A connection whose every wait ends at the deadline, so that a peer that sends a byte now and then gains nothing."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Connects to an address that ``rules`` passed: what is looked up and checked is what is connected to.

    The request keeps the host's name, for ``Host`` and for TLS.
    """

    def __init__(self, rules: AddressRules, deadline: _Deadline) -> None:
        self._rules, self._deadline = rules, deadline
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception | None = None
        for address in self._rules.addresses(host, port):
            try:
                wait = self._deadline.left(timeout)
                stream = self._backend.connect_tcp(address, port, wait, local_address, socket_options)
                return _Stream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"{host} has no address")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body has not been read: ``url`` is where it came from, after redirects."""

    url: httpx2.URL
    status: int
    headers: httpx2.Headers
    _raw: Iterable[bytes]
    _max_bytes: int

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` without its parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def pieces(self) -> Iterator[bytes]:
        """The body, decoded; raises ``HttpFailed`` once it is larger than is taken, or does not arrive whole."""
        size = 0
        with _failures(self.url):
            for piece in _decoded(self._raw, self.headers.get("content-encoding", "")):
                size += len(piece)
                if size > self._max_bytes:
                    limit = f"{self._max_bytes / 2**20:g} MiB"
                    raise HttpFailed("too_large", f"{shown(self.url)} is larger than {limit}, the most that is taken.")
                yield piece


@dataclass(slots=True)
class HttpClient:
    """A client of one source, used by one thread. Keeps connections until ``close``; no proxy, no cookies, no credentials."""

    rules: AddressRules
    user_agent: str
    limits: HttpLimits = HttpLimits()
    ssl_context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    clock: Callable[[], float] = time.monotonic
    _deadline: _Deadline = field(init=False)
    _pool: httpcore2.ConnectionPool = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = _Deadline(self.clock)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=self.ssl_context,
            max_connections=4,
            keepalive_expiry=30,
            network_backend=_Backend(self.rules, self._deadline),
        )

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str] | None = None, permit: Callable[[str], None] | None = None
    ) -> Iterator[Answer]:
        """``GET`` a page, following at most ten redirects; ``permit`` is asked about each address first, and raises to refuse.

        Raises ``HttpFailed``; what the caller raises passes through.
        """
        target = parsed(url)
        for _ in range(_MAX_REDIRECTS + 1):
            if permit is not None:
                permit(str(target))
            self._deadline.at = self.clock() + self.limits.timeout_s
            with self._one(target, headers or {}) as response:
                place = response.headers.get("location")
                if response.status not in _REDIRECTS or place is None:
                    yield response
                    return
            target = parsed(_joined(target, place))
        raise HttpFailed("too_many_redirects", f"{shown(parsed(url))} redirects more than {_MAX_REDIRECTS} times.")

    @contextmanager
    def _one(self, url: httpx2.URL, headers: Mapping[str, str]) -> Iterator[Answer]:
        sent = [
            (b"Host", url.netloc),
            (b"User-Agent", self.user_agent.encode()),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"gzip"),
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
        ]
        place = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        wait = self.limits.timeout_s
        times = {"connect": self.limits.connect_s, "read": wait, "write": wait, "pool": wait}
        with _failures(url):
            response = self._pool.handle_request(
                httpcore2.Request("GET", place, headers=sent, extensions={"timeout": times})
            )
        try:
            body = response.stream
            if not isinstance(body, Iterable):
                raise TypeError("a synchronous pool gives a body that can be iterated")
            yield Answer(url, response.status, httpx2.Headers(response.headers), body, self.limits.max_bytes)
        finally:
            response.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def parsed(url: str) -> httpx2.URL:
    """A web address without its fragment; raises ``HttpFailed`` if it is none, or carries a user name or password."""
    try:
        found = httpx2.URL(url).copy_with(fragment=None)
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise HttpFailed("invalid_url", "An address of the web could not be understood.") from error
    if found.scheme not in {"http", "https"} or not found.host:
        raise HttpFailed("invalid_url", f"{shown(found)} is no http or https address.")
    if found.userinfo:
        raise HttpFailed("invalid_url", "An address of the web must hold no user name and no password.")
    return with_path(found)


def with_path(url: httpx2.URL) -> httpx2.URL:
    """The address with ``/`` for a path if it has none: both name the same page (RFC 3986 6.2.3)."""
    return url.copy_with(raw_path=url.raw_path) if url.path == "/" else url


def shown(url: httpx2.URL) -> str:
    """An address as a message may show it: without user, password and query, which may be secret."""
    return str(url.copy_with(query=None, fragment=None, username="", password="")) if url.host else "The address"


def _joined(base: httpx2.URL, place: str) -> str:
    try:
        return str(base.join(place))
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise HttpFailed("invalid_url", f"{shown(base)} redirects to what is no address.") from error


@contextmanager
def _failures(url: httpx2.URL) -> Iterator[None]:
    """Turn what the network does into ``HttpFailed``."""
    try:
        yield
    except AddressRefused as error:
        raise HttpFailed("address_refused", error.detail) from error
    except HostUnknown as error:
        raise HttpFailed("host_unknown", error.detail, transient=True) from error
    except httpcore2.TimeoutException as error:
        raise HttpFailed("timeout", f"{shown(url)} took too long.", transient=True) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise HttpFailed("unreachable", f"{shown(url)} could not be reached: {error}.", transient=True) from error


def _decoded(raw: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """``raw`` as it was before it was packed, never more than a piece at a time, so that a bomb meets the limit of size."""
    coding = encoding.strip().lower()
    if coding in {"", "identity"}:
        yield from raw
        return
    if coding not in {"gzip", "x-gzip"}:
        raise HttpFailed("unsupported_encoding", f"The body came as {coding[:40]!r}, though only gzip was asked for.")
    unpack = None  # gzip files may follow one another
    try:
        for packed in raw:
            waiting = packed
            while waiting:
                unpack = unpack or zlib.decompressobj(16 + zlib.MAX_WBITS)
                yield unpack.decompress(waiting, _PIECE)
                waiting = unpack.unconsumed_tail
                if unpack.eof:
                    waiting, unpack = unpack.unused_data, None
    except zlib.error as error:
        raise HttpFailed("broken_body", "The body is no gzip file, though it is said to be one.") from error
    if unpack is not None:
        raise HttpFailed("broken_body", "The body ended before its time.", transient=True)
