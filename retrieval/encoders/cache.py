"""Converted encoders on the disk: found again by what they depend on, checked by their hashes, replaced whole.

In the cache folder, for each model on each kind of machine::

    encoder/all-MiniLM-L6-v2@53aa5117-<hash of what the conversion depends on>/
        model.xml, model.bin    the network in OpenVINO's format
        record.json             what was measured, which runtime is the faster, the files' sha256
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

if TYPE_CHECKING:
    from retrieval.encoders.openvino import Network

log = structlog.get_logger()

_FILES = ("model.xml", "model.bin")
_STALE_S = 3600


@dataclass(frozen=True, slots=True)
class Record:
    """What was found out about a model on a machine; ``reason`` says why OpenVINO cannot run it, if so.

    ``cosines`` are the lowest to float32 PyTorch, ``texts_per_s`` the medians on texts of a chunk's length.
    """

    fastest: Literal["torch", "openvino"]
    depends_on: dict[str, str]
    cosines: dict[str, float] = field(default_factory=dict)
    texts_per_s: dict[str, float] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


def dependencies(name: str) -> dict[str, str]:
    """What a conversion of the encoder ``name`` depends on here; ``ImportError`` or ``OSError`` without OpenVINO."""
    from retrieval.encoders.openvino import describe  # noqa: PLC0415 - not there on every platform

    return describe() | {
        "encoder": name,
        **{package: metadata.version(package) for package in ("torch", "transformers", "sentence-transformers")},
        "machine": f"{platform.machine()} {os.cpu_count()} cores",
    }


def folder_of(cache: Path, name: str, depends_on: Mapping[str, str]) -> Path:
    """Where the encoder ``name`` is kept under ``cache``."""
    digest = hashlib.sha256(msgspec.json.encode(sorted(depends_on.items()))).hexdigest()[:12]
    return cache / "encoder" / f"{re.sub(r'[^A-Za-z0-9.@-]+', '_', name)}-{digest}"


def read_kept(folder: Path) -> tuple[Record, Network | None] | None:
    """What ``keep`` wrote; ``None`` where there is nothing or it is damaged."""
    from retrieval.encoders.openvino import read  # noqa: PLC0415 - not there on every platform

    try:
        record = msgspec.json.decode((folder / "record.json").read_bytes(), type=Record)
        if record.reason is not None:
            return record, None
        for file in _FILES:
            if _sha256(folder / file) != record.sha256.get(file):
                log.warning("encoder's converted model is damaged and is made again", file=str(folder / file))
                return None
        return record, read(folder / "model.xml")
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, RuntimeError) as error:
        log.warning("encoder's converted model cannot be read and is made again", folder=str(folder), error=str(error))
        return None


def keep(folder: Path, record: Record, network: Network | None) -> None:
    """Write everything beside its place and move it there at once: a folder that is there is whole."""
    from retrieval.encoders.openvino import save  # noqa: PLC0415 - not there on every platform

    fresh: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        if network is not None:
            save(network, fresh / "model.xml")
            record = replace(record, sha256={file: _sha256(fresh / file) for file in _FILES})
        (fresh / "record.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        for path in fresh.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        fresh.rename(folder)
    except (OSError, RuntimeError) as error:
        # Also where another process was first: its copy is as good. Without a copy the next start converts again.
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
        if not folder.exists():
            log.warning("encoder's converted model cannot be kept", folder=str(folder), error=str(error))


def _clear(folder: Path) -> None:
    """Remove what the new copy replaces: a damaged one, those of older versions, and what a crash left behind."""
    model = folder.name.rpartition("-")[0]
    for other in folder.parent.iterdir():
        abandoned = other.name.startswith(".new-") and time.time() - other.stat().st_mtime > _STALE_S
        if abandoned or other.name.rpartition("-")[0] == model:
            shutil.rmtree(other, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
