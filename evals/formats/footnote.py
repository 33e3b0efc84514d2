"""Footnote's own format: one gold item as a JSON object a line."""

from __future__ import annotations

from pathlib import Path

from evals.formats.lines import jsonl_files, read_objects
from evals.formats.source import GoldSource
from evals.gold import items_from


def read(path: Path) -> GoldSource:
    """Read a ``.jsonl`` file, or all of a folder."""
    rows = (row for file in jsonl_files(path) for row in read_objects(file))
    return GoldSource(tuple(items_from(rows)))
