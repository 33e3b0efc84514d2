"""What a caller may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """The groups of a caller; ``groups=None`` is an administrator, who reads everything."""

    groups: frozenset[str] | None = None

    def may_read(self, allowed_groups: Sequence[str] | None) -> bool:
        """``allowed_groups=None`` = everyone; a list = one must be shared; an empty list = nobody but an administrator."""
        if self.groups is None or allowed_groups is None:
            return True
        return not self.groups.isdisjoint(allowed_groups)


EVERYTHING = Access(None)
