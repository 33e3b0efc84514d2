"""Uploads that wait: bytes on disk, in the data folder, from the moment they are accepted until their job is done."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.errors import TooLarge
from infra.ids import new_id


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of waiting uploads, each a file with a random name."""

    folder: Path

    def path(self, name: str) -> Path:
        """Where the upload ``name`` lies."""
        return self.folder / name

    def write(self, pieces: Iterable[bytes], limit: int | None = None) -> str:
        """Store ``pieces`` durably (synced to disk) and give the name; raises ``TooLarge`` over ``limit`` bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = new_id("up")
        path = self.path(name)
        size = 0
        try:
            with path.open("xb") as file:
                for piece in pieces:
                    size += len(piece)
                    if limit is not None and size > limit:
                        raise TooLarge(f"The upload is larger than {limit // 2**20} MiB, the most that is accepted.")
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return name

    def remove(self, names: Iterable[str]) -> None:
        """Drop uploads that are done with; those already gone are passed over."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, wanted: set[str], older_than_s: float = 3600) -> None:
        """Drop old uploads that no job waits for: what a crash between writing and queueing left behind."""
        if not self.folder.is_dir():
            return
        horizon = time.time() - older_than_s
        self.remove(f.name for f in self.folder.iterdir() if f.name not in wanted and f.stat().st_mtime < horizon)
