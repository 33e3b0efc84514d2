"""Stub until the readers are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import SourceReader


def open_source(
    kind: str, uri: str, options: Mapping[str, Any], *, allow_addresses: Sequence[str], secrets: Mapping[str, str]
) -> SourceReader:
    """."""
    return DirectoryReader(Path(uri))


def check_source(kind: str, uri: str, options: Mapping[str, Any]) -> None:
    """."""


def local_path(kind: str, uri: str) -> Path | None:
    """."""
    return Path(uri) if kind == "directory" else None
