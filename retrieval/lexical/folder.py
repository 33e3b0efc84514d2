"""What the folder of a lexical file holds, and the few facts of the library's own format that are needed to put parts together.

lexical.json   what it is: written last, so a folder without it is not finished
index/         segments, sorted by position, and the library's list of them (meta.json)
rows.npy       after a merge: the position of each row, which is what a segment knows a chunk by
lengths.npy    how many terms each row has in each field
parts/         while it is built: one small index for each commit, named by its first position and its number of chunks
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from infra.durable import sync_directory, sync_file
from retrieval.lexical.scoring import FIELDS, FieldLengths

INDEX, PARTS = "index", "parts"
HEADER, META = "lexical.json", "meta.json"
FORMAT = 1

# Chunks of one term in the field "block": a filter is first a list of such blocks.
BLOCK_SIZE = 64


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a finished lexical file says of itself. ``lengths`` are the average numbers of terms, in the order of ``FIELDS``.

    ``rows`` is how many there are in rows.npy, 0 without it, and ``ballast`` how many chunks the library holds besides.
    """

    format: int
    language: str
    count: int
    lengths: tuple[float, float, float]
    rows: int = 0
    ballast: int = 0

    @property
    def field_lengths(self) -> FieldLengths:
        """The average lengths by field."""
        return FieldLengths(*self.lengths)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One commit of a build: its chunks, and how many terms they have in each field."""

    start: int
    count: int
    language: str
    totals: tuple[int, int, int]

    @property
    def end(self) -> int:
        """The position after its last."""
        return self.start + self.count


def read_header(folder: Path) -> Header:
    """Raises ``ValueError`` if it is no header that this version reads, and ``FileNotFoundError``."""
    path = folder / HEADER
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: there is no lexical index, or it was not finished") from None
    try:
        header = msgspec.json.decode(raw, type=Header)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if header.format != FORMAT:
        raise ValueError(f"{path} is of format {header.format}, and this version reads {FORMAT}")
    return header


def read_meta(index: Path) -> dict[str, Any]:
    """The library's list of segments; raises ``ValueError`` if it cannot be read."""
    path = index / META
    try:
        meta: dict[str, Any] = json.loads(path.read_bytes())
        sizes = [segment["max_doc"] for segment in meta["segments"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged or missing: {error}") from None
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"{path} is damaged: a segment has no size")
    return meta


def gather(parts: list[Path], index: Path) -> None:
    """Put the segments of all parts, which have the same schema, into one index, in this order.

    Its files are links to those of the parts, where the file system has links.
    """
    shutil.rmtree(index, ignore_errors=True)
    index.mkdir()
    meta = read_meta(parts[0])
    meta["segments"] = []
    for part in parts:
        of_part = read_meta(part)
        meta["segments"] += of_part["segments"]
        meta["opstamp"] = max(meta["opstamp"], of_part["opstamp"])
        for path in segment_files(part, of_part):
            try:
                os.link(path, index / path.name)
            except OSError:  # a file system without links
                shutil.copyfile(path, index / path.name)
                sync_file(index / path.name)
    write_durably(index / META, json.dumps(meta, indent=2).encode())


def put_in_order(index: Path, first_positions: dict[str, int]) -> None:
    """List the segments by their first position, and drop what no segment needs."""
    meta = read_meta(index)
    meta["segments"].sort(key=lambda segment: first_positions[segment["segment_id"]])
    write_durably(index / META, json.dumps(meta, indent=2).encode())
    needed = {path.name for path in segment_files(index, meta)} | {META}
    for path in index.iterdir():
        if path.name not in needed:
            path.unlink()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, even after a power failure."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(path.parent)


def averages(totals: list[int], count: int) -> tuple[float, float, float]:
    """The average length of each field."""
    body, surroundings, identifiers = (totals[at] / count if count else 0.0 for at in range(len(FIELDS)))
    return body, surroundings, identifiers


def segment_files(index: Path, meta: dict[str, Any]) -> list[Path]:
    """The files of the segments of a list; they are named by its id without dashes."""
    stems = {segment["segment_id"].replace("-", "") for segment in meta["segments"]}
    return [path for path in sorted(index.iterdir()) if path.name.split(".")[0] in stems]
