"""Chunking settings: how a collection's documents are cut into chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from infra.errors import FieldError, InvalidInput

Strategy = Literal["title", "size"]
Tables = Literal["rows", "whole"]

# Chosen with bench/chunking.py: of 96, 128, 160 and 200 tokens, and minima of 32, 80 and 120, these found the right page of PDFs
# and the right passage of short mixed documents most often; larger ones gain recall on long prose and lose precision.
DEFAULT_TARGET = 160
MIN_TARGET, MAX_TARGET = 32, 8192


@dataclass(frozen=True, slots=True)
class ChunkingSettings:
    """How documents are cut; sizes are in the encoder's own tokens, and its window is the upper limit of every chunk.

    ``strategy``: ``title`` cuts at headings and then into about equal parts, ``size`` into windows of one size, whatever headings
    stand in them; both cut at sentence ends and never over a page's end. ``target_tokens``: the size aimed at, ``overlap_tokens``
    included. ``minimum_tokens``: what is smaller goes with its neighbour. ``overlap_tokens``: at most so much of a chunk's last
    sentences is repeated at the start of the next under the same heading. ``tables``: ``rows`` cuts a long table between rows,
    ``whole`` only one that does not fit the window; either repeats the header row as context.
    """

    strategy: Strategy = "title"
    target_tokens: int = DEFAULT_TARGET
    minimum_tokens: int = DEFAULT_TARGET // 2
    overlap_tokens: int = 0
    tables: Tables = "rows"

    @property
    def fingerprint(self) -> str:
        """A name for these settings, at most 64 characters: documents cut with equal ones have equal chunks."""
        return f"{self.strategy}/{self.target_tokens}/{self.minimum_tokens}/{self.overlap_tokens}/{self.tables}"

    def as_json(self) -> dict[str, Any]:
        """The settings by name, as they are stored and shown."""
        return asdict(self)


DEFAULT_CHUNKING = ChunkingSettings()
# Documents from before there were settings have no fingerprint: they were cut with these.
UNNAMED_FINGERPRINT = ChunkingSettings("title", 160, 80, 0, "rows").fingerprint


def cut_with(fingerprint: str | None) -> str:
    """The fingerprint of the settings that a document was cut with, as it is stored with the document."""
    return fingerprint or UNNAMED_FINGERPRINT


def read_chunking(given: Mapping[str, Any] | None) -> ChunkingSettings:
    """Settings as a caller gives them, or as they are stored; ``None`` and what is left out stand for the defaults.

    The default of ``minimum_tokens`` is half of ``target_tokens``. Raises ``InvalidInput`` with one error a field.
    """
    given = given or {}
    names = [field.name for field in fields(ChunkingSettings)]
    errors = [
        FieldError(f"chunking.{name}", f"is not known; allowed: {', '.join(names)}")
        for name in given
        if name not in names
    ]
    strategy = _choice("strategy", given.get("strategy", DEFAULT_CHUNKING.strategy), get_args(Strategy), errors)
    tables = _choice("tables", given.get("tables", DEFAULT_CHUNKING.tables), get_args(Tables), errors)
    target = _number("target_tokens", given.get("target_tokens", DEFAULT_TARGET), MIN_TARGET, MAX_TARGET, errors)
    minimum = _number("minimum_tokens", given.get("minimum_tokens", target // 2), 0, target, errors)
    overlap = _number("overlap_tokens", given.get("overlap_tokens", 0), 0, target // 2, errors)
    if errors:
        raise InvalidInput(
            f"Bad chunking settings: {'; '.join(f'{error.field} {error.message}' for error in errors)}.",
            code="invalid_chunking",
            errors=tuple(errors),
        )
    return ChunkingSettings(strategy, target, minimum, overlap, tables)


def _choice(name: str, value: Any, allowed: tuple[Any, ...], errors: list[FieldError]) -> Any:
    if value not in allowed:
        errors.append(FieldError(f"chunking.{name}", f"must be one of: {', '.join(allowed)}"))
        return allowed[0]
    return value


def _number(name: str, value: Any, least: int, most: int, errors: list[FieldError]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        errors.append(FieldError(f"chunking.{name}", f"must be a whole number from {least} to {most}"))
        return least if name != "target_tokens" else DEFAULT_TARGET
    return value
