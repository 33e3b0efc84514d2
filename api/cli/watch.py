"""Doing something again whenever files change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import watchfiles

from api.cli.context import err

# A change that the system does not report (a network folder, an overflow of its queue) is found by looking.
_LOOK_AGAIN_MS = 60_000
_SETTLE_MS = 500


def watch(folders: Sequence[Path], again: Callable[[], None]) -> None:
    """Call ``again`` when something below ``folders`` has changed and settled, and once a minute; until interrupted."""
    err.print(f"Watching {', '.join(map(str, folders))}; Ctrl-C ends.", markup=False)
    changes = watchfiles.watch(
        *folders, debounce=_SETTLE_MS, rust_timeout=_LOOK_AGAIN_MS, yield_on_timeout=True, raise_interrupt=False
    )
    for _ in changes:
        again()
