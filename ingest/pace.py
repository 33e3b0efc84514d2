"""How much of ingestion is in hand at once: what bounds its memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is in hand at once.

    ``documents``: those of a batch, which is one transaction. ``prepared``: those of a batch that are read at the same time; as
    many as the sandbox has workers. ``batches``: those that are worked on side by side.
    """

    documents: int = 16
    prepared: int = 2
    batches: int = 1
