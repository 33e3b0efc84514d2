"""Footnote's command line in processes that are forked from one which has loaded the libraries: that takes most of a start.

What runs is ``api.cli.main.main``, with arguments, environment and output of its own. What a cold start does is tested
where ``python -m api.cli`` and ``make run`` are started.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
# What ``footnote serve`` loads while it starts, and with its first answer.
MODULES = (
    "api.cli.main",
    "api.app",
    "ingest.queue",
    "retrieval.encoders.choice",
    "retrieval.encoders.openvino",
    "sentence_transformers",
)
_MESSAGE = 1 << 20


class Forked:
    """A process, as far as tests need it like ``subprocess.Popen``."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """See ``Popen``."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """See ``Popen``."""
        if (code := self._look(timeout)) is None:
            raise subprocess.TimeoutExpired("footnote", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """See ``Popen``."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """See ``Popen``."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """See ``Popen``."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int(os.read(self._ended, 16) or -signal.SIGKILL)
            os.close(self._ended)
        return self.returncode


def start(
    arguments: Sequence[str], *, env: Mapping[str, str], output: IO[bytes], errors: IO[bytes] | None = None
) -> Forked:
    """Begin ``footnote ARGUMENTS``; what it writes to standard error goes to ``output`` too, if there is no other file for it."""
    message = json.dumps({"arguments": list(arguments), "env": dict(env)}).encode()
    ended, tell = os.pipe()
    socket.send_fds(_server(), [message], [output.fileno(), (errors or output).fileno(), tell])
    os.close(tell)
    told = os.read(ended, 16)
    assert told, "the process that forks has ended: what it printed says why"
    return Forked(int(told), ended)


def run(arguments: Sequence[str], *, env: Mapping[str, str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """``footnote ARGUMENTS`` to its end, as ``subprocess.run``."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = start(arguments, env=env, output=output, errors=errors)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        written = []
        for file in (output, errors):
            file.seek(0)
            written.append(file.read().decode())
    return subprocess.CompletedProcess(["footnote", *arguments], process.wait(), *written)


@cache
def _server() -> socket.socket:
    """The process that forks, which lives as long as this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        env={**outer, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def stop() -> None:
        ours.close()
        process.wait(30)

    atexit.register(stop)
    return ours


def _serve(control: socket.socket) -> None:
    """Fork for each message; returns only in a process that is to become ``footnote``."""
    before = dict(os.environ)
    for module in MODULES:
        importlib.import_module(module)
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _become(json.loads(message), added, *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _become(asked: dict[str, object], added: dict[str, str], output: int, errors: int, tell: int) -> None:
    """Fork once more: the outer process waits for the inner one, and says how it ended; the inner one is prepared."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.write(tell, str(pid).ljust(16).encode())
        _, status = os.waitpid(pid, 0)
        os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(tell)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, place in ((output, 1), (errors, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update({**added, **asked["env"]})  # type: ignore[dict-item]
    sys.argv = ["footnote", *asked["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from api.cli.main import main

    main()
