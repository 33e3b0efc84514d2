"""A line of text on a page of a PDF."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text on a page; coordinates in points from the page's lower left corner.

    ``words`` are its words, each with its left edge.
    """

    text: str
    page: int
    box: int
    left: float
    right: float
    bottom: float
    top: float
    size: float
    bold: bool
    words: tuple[tuple[float, str], ...] = ()

    @property
    def middle(self) -> float:
        """The height of the line's centre."""
        return (self.top + self.bottom) / 2
