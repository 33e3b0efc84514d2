"""The manifest of a generation: what its files hold, and how to tell that they are whole.

A generation is a folder. Its last file, ``manifest.json``, is written when all others are on the disk; its own sha256 is kept in
the database, so that a folder is either the one that was built, or is not used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from infra.durable import sync_directory

FORMAT = 1
NAME = "manifest.json"
# How far a build is; no part of what was built.
STEP = "step.json"


class Damaged(Exception):  # noqa: N818 - an answer, not an error for a caller
    """The folder is not the one that was built; says what is wrong."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Size in bytes, and the sha256 of the content."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds.

    ``base_seq`` is the last change of the collection that is in it for certain; ``chunks`` are its positions, ``dense`` is the
    report of the vectors' index, ``files`` are the stamps by path within the folder. ``chunk_set``: whose chunks they are.
    """

    collection_id: str
    number: int
    revision: int
    encoder: str
    dim: int
    language: str | None
    documents: int
    chunks: int
    base_seq: int
    created_at: str
    dense: dict[str, Any]
    files: dict[str, FileStamp]
    chunk_set: int = 1
    format: int = FORMAT


def seal(folder: Path, manifest: Manifest) -> str:
    """Bring the folder's files to the disk and write their stamps as its manifest; returns the manifest's sha256."""
    files = {}
    for path in _files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = FileStamp(path.stat().st_size, digest)
    raw = msgspec.json.format(msgspec.json.encode(replace(manifest, files=files)), indent=2) + b"\n"
    with (folder / NAME).open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    for directory in {folder, *(path.parent for path in _files(folder))}:
        sync_directory(directory)
    return hashlib.sha256(raw).hexdigest()


def read_manifest(folder: Path, sha256: str) -> Manifest:
    """The manifest of a folder, if it is the one of this ``sha256`` and its files have the sizes it says.

    Raises ``Damaged``, and ``FileNotFoundError`` where there is no such folder.
    """
    raw = (folder / NAME).read_bytes()
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise Damaged(f"{NAME} is not the one that was written when it was built")
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{NAME} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise Damaged(f"its format is {manifest.format}, and this version reads {FORMAT}")
    for name, stamp in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            raise Damaged(f"{name} is missing") from None
        if size != stamp.bytes:
            raise Damaged(f"{name} has {size} bytes and should have {stamp.bytes}")
    return manifest


def damaged_files(folder: Path, manifest: Manifest) -> list[str]:
    """The files whose content is not what was built, sorted; reads all of them."""
    bad = []
    for name, stamp in manifest.files.items():
        try:
            with (folder / name).open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == stamp.sha256
        except OSError:
            whole = False
        if not whole:
            bad.append(name)
    return sorted(bad)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (NAME, STEP))
