"""Which keys of a source are wanted: shell patterns to include and to exclude, and the names that are never read."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from infra.errors import FieldError, InvalidInput

_TOOLS_FOLDERS = {"__pycache__", "node_modules"}
_MAX_PATTERNS, _MAX_LENGTH, _MAX_DEEP = 200, 500, 4


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over, with all below it: hidden, or a tool's own folder."""
    return name.startswith(".") or name in _TOOLS_FOLDERS


def hidden_path(key: str) -> bool:
    """Whether any part of a ``/``-separated path is ``hidden``; so is one that climbs (``..``)."""
    return any(hidden(part) for part in key.split("/"))


@dataclass(frozen=True)
class Patterns:
    """Shell patterns on a key (``*.md``, ``drafts/*``); wanted is what fits an ``include``, if there is any, and no ``exclude``.

    ``*`` stands for any characters, ``/`` too; ``**/`` also for no folder at all, so that ``docs/**/*.md`` fits ``docs/a.md``. A
    pattern that names a folder stands for all that is below it. Letter case counts.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __contains__(self, key: str) -> bool:
        """Whether ``key`` is wanted."""
        if self.include and not any(fits(key) for fits in self._included):
            return False
        return not any(fits(key) for fits in self._excluded)

    def leaves_out(self, folder: str) -> bool:
        """Whether an exclusion names ``folder`` or one above it: then nothing below it can be wanted."""
        return any(fits(folder) for fits in self._excluded)

    @cached_property
    def _included(self) -> list[_Test]:
        return _tests(self.include)

    @cached_property
    def _excluded(self) -> list[_Test]:
        return _tests(self.exclude)


class _Test:
    """One pattern, compiled; called with a key."""

    def __init__(self, pattern: str) -> None:
        self._match = re.compile(fnmatch.translate(pattern)).match

    def __call__(self, key: str) -> bool:
        return self._match(key) is not None


def check_patterns(patterns: Iterable[str], field: str) -> None:
    """Raise ``InvalidInput`` if ``patterns`` are too many, too long, or empty; ``field`` names them in the error."""
    listed = list(patterns)
    if len(listed) > _MAX_PATTERNS:
        raise _invalid(field, f"at most {_MAX_PATTERNS} patterns are taken")
    for pattern in listed:
        if not pattern.strip("/") or len(pattern) > _MAX_LENGTH:
            raise _invalid(field, f"a pattern has 1 to {_MAX_LENGTH} characters, and not only slashes")
        if pattern.count("**/") > _MAX_DEEP:
            raise _invalid(field, f"a pattern has at most {_MAX_DEEP} times **/")


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"Bad {field}: {message}.", code="invalid_pattern", errors=(FieldError(field, message),))


def _tests(patterns: Sequence[str]) -> list[_Test]:
    return [_Test(form) for pattern in patterns for form in _forms(pattern)]


def _forms(pattern: str) -> list[str]:
    """The plain shell patterns that stand for ``pattern``: with and without each ``**/``; itself, and all below it."""
    pieces = pattern.strip("/").removesuffix("/**").split("**/")
    glue = itertools.product(("*/", ""), repeat=len(pieces) - 1)
    forms = ["".join(map("".join, itertools.zip_longest(pieces, joins, fillvalue=""))) for joins in glue]
    itself = [] if pattern.endswith("/**") else forms
    return [*itself, *(f"{form}/*" for form in forms)]


ALL = Patterns()
