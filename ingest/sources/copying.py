"""What every reader of a store does with a file: write it down within limits, and tell a failure without its secrets."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ingest.sources.entry import FetchFailed


@dataclass(frozen=True, slots=True)
class Limits:
    """``max_bytes`` of one file, unpacked; ``timeout_s`` for bringing it."""

    max_bytes: int = 2**30
    timeout_s: float = 600.0


def copy(pieces: Iterable[bytes], folder: Path, key: str, limits: Limits) -> Path:
    """Write ``pieces`` to a new file of ``folder``; raises ``FetchFailed`` past a limit, and leaves no part of a file."""
    size, end = 0, time.monotonic() + limits.timeout_s
    with tempfile.NamedTemporaryFile(dir=folder, prefix="file-", delete=False) as file:
        path = Path(file.name)
        try:
            for piece in pieces:
                size += len(piece)
                if size > limits.max_bytes:
                    most = f"{limits.max_bytes / 2**20:g} MiB"
                    raise FetchFailed("too_large", f"{key} is larger than {most}, the most that is taken.")
                if time.monotonic() > end:
                    raise FetchFailed("timeout", f"{key} took longer than {limits.timeout_s:g} s.", transient=True)
                file.write(piece)
        except BaseException:
            path.unlink()
            raise
    return path


def told(what: str, error: Exception) -> str:
    """A driver's failure as one sentence, without what may be secret in it: signed queries, credentials in addresses."""
    first = (str(error).strip().splitlines() or [""])[0][:300]
    safe = re.sub(r"\?\S+|(?<=//)[^/\s@]+@", "", first).rstrip(" .:")
    return f"{what} could not be read: {type(error).__name__}{': ' if safe else ''}{safe}."
