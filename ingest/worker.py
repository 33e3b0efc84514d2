"""The process that parses files for ``ingest.sandbox``: one job after the other, over its standard streams.

Run as ``python -m ingest.worker MEMORY_MB [OCR_LANGUAGES]``. It opens no network connection, takes no more memory
than it is given, and ends with its parent: when the pipe closes, it kills its process group, converters included.
"""

from __future__ import annotations

import ctypes
import os
import queue
import resource
import signal
import struct
import sys
import threading
from pathlib import Path
from typing import IO

import msgspec

from infra.errors import FootnoteError, Unprocessable
from ingest.elements import ParsedDocument

_HEAD = struct.Struct(">I")
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # CLONE_NEWNET and CLONE_NEWUSER of unshare(2)
_NETWORK_EVENTS = frozenset(
    {
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
    }
)


class Job(msgspec.Struct, frozen=True):
    """One file to parse, with the CPU seconds that it may take."""

    path: str
    filename: str
    content_type: str | None
    cpu_s: int


class Outcome(msgspec.Struct, frozen=True):
    """A job's parsed document, or the error to raise in its place: the class's name, code and sentence."""

    parsed: ParsedDocument | None = None
    error: str = ""
    code: str = ""
    detail: str = ""


def write_message(stream: IO[bytes], message: object) -> None:
    """Send ``message``, its length first."""
    data = msgspec.msgpack.encode(message)
    stream.write(_HEAD.pack(len(data)) + data)
    stream.flush()


def read_bytes(stream: IO[bytes]) -> bytes | None:
    """Receive a message's bytes; None at the end of the stream."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    (length,) = _HEAD.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def _no_network(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _NETWORK_EVENTS:
        raise PermissionError("the document parser has no network")


def leave_network() -> bool:
    """Move this process, and all that it will start, to where there is no network; False if the system does not let it.

    Converters are programs of their own, which the audit hook cannot see. Without the right to do this outright it
    takes a user namespace, which some systems and most containers refuse; then converters are held by their settings.
    """
    library = ctypes.CDLL(None, use_errno=True)
    unshare = getattr(library, "unshare", None)  # Linux only
    if unshare is None:
        return False
    user, group = os.getuid(), os.getgid()
    if unshare(_NEW_NETWORK) == 0:
        return True
    if unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    try:  # keep the name that this process's files go by
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return True
    return True


def _limit_memory(megabytes: int) -> None:
    """Allow ``megabytes`` of address space beyond what the loaded libraries take already."""
    status = Path("/proc/self/statm")
    used = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))


def _limit_cpu(seconds: int) -> None:
    """Let the kernel end this process should nobody be left to do it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _read_jobs(stream: IO[bytes], jobs: queue.SimpleQueue[Job]) -> None:
    while (data := read_bytes(stream)) is not None:
        jobs.put(msgspec.msgpack.decode(data, type=Job))
    os.killpg(0, signal.SIGKILL)


def _run(job: Job, ocr: str | None) -> Outcome:
    # Here and not above: the parent imports this module for its messages and must not load the parsers.
    from ingest.parse import parse  # noqa: PLC0415

    try:
        return Outcome(parse(Path(job.path).read_bytes(), job.filename, job.content_type, ocr=ocr))
    except FootnoteError as error:
        return Outcome(error=type(error).__name__, code=error.code, detail=error.detail)
    except MemoryError:
        return Outcome(
            error=Unprocessable.__name__, code="parse_memory", detail="Reading the file took too much memory."
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Outcome(
            error=Unprocessable.__name__, code="malformed", detail=f"The file could not be opened: {reason}."
        )


def main(memory_mb: int, ocr: str | None) -> None:
    """Serve jobs until the parent goes away."""
    leave_network()  # before any thread: a process with threads may not
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up between the messages
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(stdin, jobs), daemon=True).start()
    sys.addaudithook(_no_network)
    # spaCy loads PyTorch if it finds it. Nothing here uses it, and it costs seconds and 200 MB.
    sys.modules["torch"] = None  # type: ignore[assignment]
    import ingest.parse  # noqa: F401, PLC0415 - see _run

    _limit_memory(memory_mb)
    write_message(stdout, Outcome())  # ready
    while True:
        job = jobs.get()
        _limit_cpu(job.cpu_s)
        write_message(stdout, _run(job, ocr))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
