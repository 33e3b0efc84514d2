"""A web site on this machine whose pages a test writes, and which tells what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(frozen=True, slots=True)
class SitePage:
    """A page's answer; ``write`` sends the body by itself, for answers that misbehave."""

    body: bytes = b""
    content_type: str = "text/html"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    write: Callable[[BaseHTTPRequestHandler], None] | None = None


@dataclass(slots=True)
class Site:
    """``pages`` by path with query; ``asked`` is each request's path and headers (lower case), in order."""

    url: str
    port: int
    pages: dict[str, SitePage] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def add(self, path: str, body: str | bytes, content_type: str = "text/html", **headers: str) -> None:
        """Serve a page."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = SitePage(data, content_type, headers=named)

    def paths(self) -> list[str]:
        """The paths that were asked for, without the robots' rules."""
        return [path for path, _ in self.asked if path != "/robots.txt"]


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty site: every page is 404 until a test adds it. ``If-None-Match`` of a page's ``ETag`` gets 304."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            served.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            page = served.pages.get(self.path, SitePage(b"not here", status=404))
            if page.write is not None:
                with suppress(OSError):  # the reader left, as it should
                    page.write(self)
                self.close_connection = True
                return
            tag = page.headers.get("ETag")
            unchanged = tag is not None and self.headers.get("If-None-Match") == tag
            self.send_response(304 if unchanged else page.status)
            body = b"" if unchanged else page.body
            for name, value in {
                "Content-Type": page.content_type,
                **page.headers,
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A reader that hangs up is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}", server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()
