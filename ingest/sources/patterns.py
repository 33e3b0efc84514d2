"""Which keys of a source are wanted."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence


def wanted(key: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a key is to be read."""
    if include and not any(fnmatch.fnmatch(key, pattern) for pattern in include):
        return False
    return not any(fnmatch.fnmatch(key, pattern) for pattern in exclude)
