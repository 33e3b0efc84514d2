"""A model server that does what a test tells it, down to a connection cut in the middle of an event."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(slots=True)
class Exchange:
    """One request and the means to answer it."""

    path: str
    headers: dict[str, str]
    body: Any
    handler: BaseHTTPRequestHandler
    stopping: threading.Event

    def reply(self, status: int, body: object, content_type: str = "application/json") -> None:
        """A whole response."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Content-Length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def begin(self, content_type: str = "text/event-stream") -> None:
        """The head of a stream."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def raw(self, data: bytes) -> None:
        """Some bytes of a stream."""
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.handler.wfile.flush()

    def event(self, payload: object) -> None:
        """One server-sent event."""
        self.raw(b"data: " + json.dumps(payload).encode() + b"\n\n")

    def end(self, *, done: bool = True) -> None:
        """The proper end of a stream, with or without OpenAI's ``[DONE]``."""
        if done:
            self.raw(b"data: [DONE]\n\n")
        self.handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection as it stands."""
        self.handler.close_connection = True

    def hang(self) -> None:
        """Say nothing more until the test is over, or the client leaves."""
        self.handler.connection.settimeout(0.05)
        while not self.stopping.is_set():
            try:
                if self.handler.connection.recv(1) == b"":
                    self.left.set()
                    break
            except TimeoutError:
                continue
            except OSError:
                self.left.set()
                break
        self.cut()

    left: threading.Event = field(default_factory=threading.Event)


Behaviour = Callable[[Exchange], None]


class ScriptedServer:
    """``on(path, behaviour)`` says what a path does; ``requests`` are those that came."""

    def __init__(self) -> None:
        self.requests: list[Exchange] = []
        self._behaviours: dict[str, Behaviour] = {}
        self._stopping = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 0

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                exchange = Exchange(self.path, dict(self.headers.items()), body, self, outer._stopping)
                outer.requests.append(exchange)
                behaviour = outer._behaviours.get(self.path)
                if behaviour is None:
                    exchange.reply(404, {"error": "no such path"})
                    return
                try:
                    behaviour(exchange)
                except (BrokenPipeError, ConnectionResetError):
                    exchange.left.set()
                    self.close_connection = True

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def on(self, path: str, behaviour: Behaviour) -> None:
        """From now on ``path`` does this."""
        self._behaviours[path] = behaviour

    def sent_to(self, path: str) -> list[Any]:
        """The bodies of the requests to ``path``, in order."""
        return [exchange.body for exchange in self.requests if exchange.path == path]

    def close(self) -> None:
        """Stop; open connections are dropped."""
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def chunk(content: str | None = None, finish: str | None = None, **delta: object) -> dict[str, Any]:
    """One ``chat.completion.chunk``."""
    if content is not None:
        delta["content"] = content
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def token(text: str, *, special: bool = False, finish: str | None = None, whole: str | None = None) -> dict[str, Any]:
    """One event of TGI's ``/generate_stream``."""
    details = {"finish_reason": finish, "generated_tokens": 3, "input_length": 9, "seed": None} if finish else None
    return {
        "index": 1,
        "token": {"id": 5, "text": text, "logprob": -0.1, "special": special},
        "top_tokens": [],
        "generated_text": whole,
        "details": details,
    }


def says(*pieces: str, finish: str | None = "stop", done: bool = True) -> Behaviour:
    """A chat completion of these pieces."""

    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        exchange.event(chunk("", role="assistant"))
        for piece in pieces:
            exchange.event(chunk(piece))
        if finish is not None:
            exchange.event(chunk(None, finish))
        exchange.end(done=done)

    return behaviour


def completes(*pieces: str, finish: str = "stop") -> Behaviour:
    """An OpenAI text completion of these pieces."""

    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.event({"object": "text_completion", "choices": [{"index": 0, "text": piece}]})
        exchange.event({"object": "text_completion", "choices": [{"index": 0, "text": "", "finish_reason": finish}]})
        exchange.end()

    return behaviour


def refuses(status: int, body: object = None, content_type: str = "application/json") -> Behaviour:
    """An error status with a body."""
    return lambda exchange: exchange.reply(status, {"error": "no"} if body is None else body, content_type)


@pytest.fixture
def scripted_server() -> Iterator[ScriptedServer]:
    """A server that knows no path yet."""
    server = ScriptedServer()
    yield server
    server.close()
