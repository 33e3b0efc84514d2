"""What ``footnote ingest`` and ``footnote sources add`` are given: a path or an address, and what kind of source that is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from infra.errors import InvalidInput

KINDS = ("directory", "fsspec", "git", "web", "connector")


def kind_of(place: str, kind: str | None = None) -> tuple[str, str]:
    """The kind and uri of a source; ``kind`` decides where the address alone does not.

    A folder is a ``directory``, ``git+…`` and ``….git`` a ``git`` repository, ``http(s)://`` a ``web`` source, every other
    ``scheme://`` an ``fsspec`` one. Raises ``InvalidInput`` for a path that does not exist and a kind that there is not.
    """
    if kind is not None and kind not in KINDS:
        raise InvalidInput(f"--kind is {kind!r}; allowed: {', '.join(KINDS)}.")
    if place.startswith("git+"):
        return "git", place.removeprefix("git+")
    scheme = urlsplit(place).scheme if "://" in place or "::" in place else ""
    if scheme or "::" in place:
        if kind is not None:
            return kind, place
        if place.endswith(".git"):
            return "git", place
        return ("web" if scheme in ("http", "https") else "fsspec"), place
    path = Path(place).expanduser()
    if not path.exists():
        raise InvalidInput(f"{place} does not exist: name a file, a folder or an address.", code="no_such_path")
    return kind or "directory", str(path.resolve())
