"""A store on this machine that answers as S3 does to what a reader asks: list, get, head."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

PAGE = 1000


@dataclass(slots=True)
class ObjectStore:
    """One bucket, ``docs``: ``objects`` by key. ``broken`` makes every answer from the given request on a refusal."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken_from: int | None = None


@pytest.fixture
def object_store() -> Iterator[ObjectStore]:
    """An empty bucket."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            store.asked.append(self.path)
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            key = unquote(parts.path).removeprefix("/docs").lstrip("/")
            if store.broken_from is not None and len(store.asked) >= store.broken_from:
                self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            elif not unquote(parts.path).startswith("/docs"):
                self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            elif "list-type" in query:
                self.answer(200, listing(query))
            elif key not in store.objects:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif self.headers.get("If-None-Match") == tag(store.objects[key]):
                self.answer(304, b"", tag(store.objects[key]))
            elif asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                whole = store.objects[key]
                start, end = int(asked[1]), min(int(asked[2] or len(whole)), len(whole) - 1)
                self.answer(206, whole[start : end + 1], tag(whole), f"bytes {start}-{end}/{len(whole)}")
            else:
                self.answer(200, store.objects[key], tag(store.objects[key]))

        do_HEAD = do_GET  # noqa: N815 - the name that the server calls

        def answer(self, status: int, body: bytes, etag: str | None = None, span: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
            if span:
                self.send_header("Content-Range", span)
            if etag:
                self.send_header("ETag", etag)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    def tag(body: bytes) -> str:
        return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'

    def listing(query: dict[str, str]) -> bytes:
        keys = sorted(key for key in store.objects if key.startswith(query.get("prefix", "")))
        start = int(query.get("continuation-token", "0"))
        more = len(keys) > start + PAGE
        rows = "".join(
            f"<Contents><Key>{escape(quote(key) if query.get('encoding-type') else key)}</Key>"
            f"<Size>{len(store.objects[key])}</Size>"
            f"<LastModified>2026-11-02T10:00:00.000Z</LastModified><ETag>{escape(tag(store.objects[key]))}</ETag></Contents>"
            for key in keys[start : start + PAGE]
        )
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><Name>docs</Name><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"<KeyCount>{len(keys)}</KeyCount>{token}{rows}</ListBucketResult>"
        ).encode()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store = ObjectStore(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield store
    server.shutdown()
    server.server_close()
    thread.join()
