"""Which process owns a piece of work, written down so that another one can tell whether it still lives."""

from __future__ import annotations

import os
import socket

import psutil


def owner_name() -> str:
    """This process: host, pid and start time."""
    process = psutil.Process()
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{int(process.create_time())}"


def is_gone(owner: str) -> bool | None:
    """Whether the process called ``owner`` has ended; ``None`` where it is on another host and cannot be asked."""
    host, pid, started = owner.rsplit(":", 2)
    if host != owner_name().rsplit(":", 2)[0]:
        return None
    # A reused pid has another start time.
    try:
        return int(psutil.Process(int(pid)).create_time()) != int(started)
    except psutil.NoSuchProcess:
        return True
