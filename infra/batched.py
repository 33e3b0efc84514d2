"""A few at a time: databases take only so many values in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """``items`` in lists of ``size``, the last of which may be shorter (``itertools.batched`` of Python 3.12)."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
