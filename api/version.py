"""The version of this distribution."""

from __future__ import annotations

from importlib.metadata import version as _version


def version() -> str:
    """The installed version, such as ``0.1.0``."""
    return _version("footnote")
