"""Gold sets from files: one reader a format, each all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from evals.formats import beir, footnote, northwind, ragas, squad
from evals.formats.source import GoldSource
from infra.errors import InvalidInput

READERS: Mapping[str, Callable[[Path], GoldSource]] = MappingProxyType(
    {
        "footnote": footnote.read,
        "beir": beir.read,
        "squad": squad.read,
        "ragas": ragas.read,
        "northwind": northwind.read,
    }
)


def read_gold(kind: str, path: Path) -> GoldSource:
    """Read a gold set of format ``kind``.

    Raises ``InvalidInput`` with file and line for the first thing that is wrong.
    """
    if kind not in READERS:
        raise InvalidInput(f"{kind!r} is not a gold format; allowed: {', '.join(READERS)}.", code="unknown_format")
    if not path.exists():
        raise InvalidInput(f"{path} does not exist.", code="no_such_file")
    source = READERS[kind](path)
    if not source.items:
        raise InvalidInput(f"{path} holds no questions.", code="empty_goldset")
    return source
