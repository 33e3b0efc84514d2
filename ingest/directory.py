"""A folder of files as documents: which files, under which external ids."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.errors import InvalidInput
from ingest.document import Attributes, DocumentInput

_SKIPPED = {"__pycache__", "node_modules"}


def walk(
    root: Path, include: Sequence[str] = (), exclude: Sequence[str] = (), attributes: Attributes = Attributes()
) -> Iterator[DocumentInput]:
    """The files below ``root`` (or ``root`` itself), in order; the external id is the path below ``root``.

    Hidden files and folders, and links that lead out of ``root``, are left out. ``include`` and ``exclude`` are shell
    patterns on that path (``*.md``, ``drafts/*``). Raises ``InvalidInput`` if ``root`` does not exist.
    """
    if root.is_file():
        yield _input(root, root.name, attributes)
        return
    if not root.is_dir():
        raise InvalidInput(f"{root} does not exist: give a file or a folder.", code="no_such_path")
    base = root.resolve()
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if any(part.startswith(".") or part in _SKIPPED for part in relative.parts) or not path.is_file():
            continue
        if not path.resolve().is_relative_to(base):
            continue
        name = relative.as_posix()
        if include and not _matches(name, include):
            continue
        if not _matches(name, exclude):
            yield _input(path, name, attributes)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _input(path: Path, name: str, attributes: Attributes) -> DocumentInput:
    return DocumentInput(name, path=path, filename=path.name, attributes=attributes)
