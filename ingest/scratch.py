"""The folder for what sources need only while they are read: clones, crawled pages, archives."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

_OLD_S = 24 * 3600


def scratch_folder(data_dir: Path) -> Path:
    """The folder below ``data_dir``, made if needed; what a killed process left there a day ago is dropped."""
    folder = data_dir / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        try:
            old = left.stat().st_mtime < time.time() - _OLD_S
        except FileNotFoundError:  # another process was faster
            continue
        if old:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return folder
