"""What a format's reader returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from evals.gold import GoldItem
from evals.subject import DocumentInput


@dataclass(frozen=True, slots=True)
class GoldSource:
    """A gold set read from files, checked whole before anything is stored.

    ``documents`` opens the corpus that the set brings along (``None`` = it asks about documents that are
    already there); ``unplaced`` are quotes by item id whose document the file does not name; ``notes`` say
    what was left out and why.
    """

    items: tuple[GoldItem, ...]
    documents: Callable[[], Iterator[DocumentInput]] | None = None
    document_count: int = 0
    unplaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
