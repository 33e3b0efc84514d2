"""The ``git`` program, run so that a repository's address and content cannot make it do anything but read.

The program is used and not ``dulwich``: it is on every machine that has a repository, kept up to date by the system, and
knows partial clones, so that a sync of an unchanged repository brings no file at all. (dulwich, though it needs no program,
has no lazy fetch of single blobs, and would speak to the network by its own HTTP stack, past the checks here.)
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PINS_SINCE = (2, 37)  # http.curloptResolve
_PIECE = 2**16


class GitFailed(Exception):  # noqa: N818 - names what happened
    """A command failed: ``detail`` is what git said of it, in a line."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class GitCommand:
    """Runs git in ``folder``, a bare repository of our own, with ``config`` and nobody else's configuration.

    No prompt, no credential helper, no hook, no submodule, no filter; only the protocols of ``protocols``; no proxy and no
    redirect; each run ends within ``timeout_s`` with all that it started. ``header`` is an HTTP header with a secret: it goes
    by the environment, for the server of ``url`` only, so that no list of processes shows it.
    """

    folder: Path
    url: str
    protocols: Sequence[str]
    config: Mapping[str, str] = field(default_factory=dict)
    header: str | None = None
    ssh: str = "ssh -o BatchMode=yes"
    timeout_s: float = 600.0

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """What a command writes to its standard output, for a short answer; raises ``GitFailed``."""
        with self._started(arguments, subprocess.PIPE) as process:
            try:
                out, err = process.communicate(given, timeout=self.timeout_s)
            except subprocess.TimeoutExpired as error:
                raise GitFailed(f"git took longer than {self.timeout_s:g} s") from error
            finally:
                _end(process)
        if process.returncode != 0:
            raise GitFailed(_said(err))
        return out

    def stream(self, *arguments: str, given: bytes = b"") -> Iterator[bytes]:
        """The same for a long answer, piece by piece."""
        with self._started(arguments, subprocess.PIPE) as process:
            watch = threading.Timer(self.timeout_s, _end, [process])
            watch.start()
            try:
                stdin, stdout, stderr = _pipes(process)
                stdin.write(given)
                stdin.close()
                while piece := stdout.read(_PIECE):
                    yield piece
                if process.wait() != 0:
                    raise GitFailed(_said(stderr.read()))
            finally:
                watch.cancel()
                _end(process)

    def _started(self, arguments: Sequence[str], pipe: int) -> subprocess.Popen[bytes]:
        program = program_path()
        command = [program, *(part for item in self.config.items() for part in ("-c", "=".join(item))), *arguments]
        secret = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"http.{self.url}.extraHeader"} if self.header else {}
        if self.header:
            secret["GIT_CONFIG_VALUE_0"] = self.header
        environment = {
            "PATH": f"{Path(program).parent}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder),
            "GIT_ALLOW_PROTOCOL": ":".join(self.protocols),
            "GIT_ASKPASS": "true",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": self.ssh,
            "GIT_TERMINAL_PROMPT": "0",
            "SSH_ASKPASS": "true",
            **secret,
        }
        return subprocess.Popen(  # noqa: S603 - a list, no shell; the address was checked
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=self.folder, start_new_session=True
        )


def program_path() -> str:
    """Where git is; raises ``GitFailed`` if it is not installed."""
    found = shutil.which("git")
    if found is None:
        raise GitFailed("the git program is not installed")
    return found


def settings(pins: Sequence[str] = ()) -> dict[str, str]:
    """Git's configuration for reading a stranger's repository; ``pins`` are curl's ``host:port:address`` (one host)."""
    chosen = {
        "core.hooksPath": os.devnull,
        "core.fsmonitor": "false",
        "credential.helper": "",
        "fetch.recurseSubmodules": "false",
        "fetch.fsckObjects": "false",
        "gc.auto": "0",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "60",
        "http.proxy": "",
        "maintenance.auto": "false",
        "protocol.version": "2",
        "submodule.recurse": "false",
    }
    if pins:
        if version() < _PINS_SINCE:
            raise GitFailed("git is older than 2.37, which cannot be held to the address that was checked")
        chosen["http.curloptResolve"] = pins[0]
    return chosen


def version() -> tuple[int, ...]:
    """The version of the program, such as ``(2, 39)``; raises ``GitFailed``."""
    said = subprocess.run([program_path(), "version"], capture_output=True, timeout=30, check=False).stdout.decode()  # noqa: S603
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None:
        raise GitFailed("the git program does not tell its version")
    return int(found[1]), int(found[2])


def basic_header(user: str, token: str) -> str:
    """The header that carries a token as hosts of git take it: as a password, beside some user name."""
    return "Authorization: Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise TypeError("the process was started without pipes")
    return process.stdin, process.stdout, process.stderr


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and all that it started (it leads a group of its own)."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _said(error: bytes) -> str:
    """The line of git's errors that tells most: the first ``fatal:``, or the last line; without addresses' secrets."""
    lines = [line.strip() for line in error.decode("utf-8", "replace").splitlines() if line.strip()] or ["git failed"]
    chosen = next((line for line in lines if line.startswith("fatal:")), lines[-1])
    return re.sub(r"(?<=//)[^/\s@]+@", "", chosen.removeprefix("fatal: "))[:300]
