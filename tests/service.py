"""A real ``footnote serve`` in a process of its own, for tests that go through the front door."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from preloaded import ROOT, Forked, start

# Shared by every test that starts Footnote: converting the encoder takes seconds, and once is enough.
CACHE_DIR = ROOT / ".pytest_cache" / "footnote"
START_SECONDS = 180
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Service:
    """A running service; ``url`` is where, ``log`` is what it has written."""

    url: str
    process: Forked
    log: Path

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The JSON answer of a call; an error status raises ``urllib.error.HTTPError``."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            raw = response.read()
        return json.loads(raw) if raw else None

    def put_text(self, external_id: str, text: str, *, collection: str = "default", **attributes: Any) -> Any:
        """Store a text and wait until it is searchable."""
        path = f"/v1/collections/{collection}/documents/{quote(external_id)}?wait=true"
        return self.call("PUT", path, {"text": text, **attributes})


@contextlib.contextmanager
def running_service(folder: Path, *, until: str = "/health/ready", **environment: str) -> Iterator[Service]:
    """Run ``footnote serve`` on a free port, with its data under ``folder``, until the block ends; ``until`` tells that it began.

    Authentication is off unless ``FOOTNOTE_AUTH`` says otherwise; no other ``FOOTNOTE_`` variable of the caller's is passed on.
    A service that does not start fails the test with its log.
    """
    port = free_port()
    outer = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    own = {
        "FOOTNOTE_DATA_DIR": str(folder / "data"),
        "FOOTNOTE_CACHE_DIR": str(CACHE_DIR),
        "FOOTNOTE_AUTH": "off",
        "FOOTNOTE_PORT": str(port),
        "HF_HUB_OFFLINE": "1",
    }
    log = folder / "service.log"
    with log.open("wb") as output:
        process = start(["serve"], env={**outer, **own, **environment}, output=output)
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait(service, until)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(service: Service, path: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and service.process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            service.call("GET", path)
            return
        time.sleep(0.2)
    pytest.fail(f"the service did not start:\n{service.log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the whole run; its tests keep to collections of their own."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running
