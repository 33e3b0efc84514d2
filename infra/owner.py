"""Which process owns a piece of work, written down so that another one can tell whether it still lives."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta

import psutil

from infra.clock import in_utc, now

# On another host only the heartbeat is seen.
STALE = timedelta(seconds=30)


def owner_name() -> str:
    """This process: host, pid and start time."""
    process = psutil.Process()
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{int(process.create_time())}"


def is_gone(owner: str) -> bool | None:
    """Whether the process called ``owner`` has ended; ``None`` where it is on another host and cannot be asked."""
    host, pid, started = owner.rsplit(":", 2)
    if host != owner_name().rsplit(":", 2)[0]:
        return None
    # A reused pid has another start time; a zombie is dead, and only its parent has not asked yet.
    try:
        process = psutil.Process(int(pid))
        return int(process.create_time()) != int(started) or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_dead(owner: str, beaten_at: datetime) -> bool:
    """Whether a process has ended: on this host the process table tells at once, of another one only its heartbeat is seen."""
    if (gone := is_gone(owner)) is not None:
        return gone
    return now() - in_utc(beaten_at) > STALE
