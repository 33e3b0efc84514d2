"""Sitemaps (sitemaps.org protocol 0.9): the pages that a site lists, read from a file without holding it in memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lxml import etree

MAX_BYTES = 50 * 2**20  # the protocol's limit for one sitemap, unpacked
_GZIP = b"\x1f\x8b"


class SitemapBroken(Exception):  # noqa: N818 - names what happened
    """The file is no sitemap, or not a whole one; ``detail`` is a phrase that says why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a sitemap: a page, or (``is_sitemap``) another sitemap; ``lastmod`` as it is written."""

    url: str
    lastmod: str | None
    is_sitemap: bool


def read_sitemap(path: Path) -> Iterator[Listed]:
    """What a sitemap or sitemap index lists, in its order; packed or not. Raises ``SitemapBroken``, perhaps after some lines."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        try:
            yield from _lines(_Limited(file))
        except etree.XMLSyntaxError as error:
            raise SitemapBroken(f"is not whole XML ({error.msg})") from error
        except (OSError, EOFError, zlib.error) as error:
            raise SitemapBroken("is not a whole gzip file") from error


def _lines(file: _Limited) -> Iterator[Listed]:
    # No entity is expanded, no document type loaded, nothing fetched: the file is a stranger's.
    steps = etree.iterparse(
        file, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    kind = None
    for event, element in steps:
        name = etree.QName(element).localname if isinstance(element.tag, str) else ""
        if kind is None:
            kind = name
            if kind not in {"urlset", "sitemapindex"}:
                raise SitemapBroken(f"is no sitemap: its root is <{kind[:40]}>")
        elif event == "end" and name in {"url", "sitemap"}:
            url = _text(element, "loc")
            if url:
                yield Listed(url, _text(element, "lastmod"), is_sitemap=kind == "sitemapindex")
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def _text(element: etree._Element, name: str) -> str | None:
    found = element.find(f"{{*}}{name}")
    return (found.text or "").strip() or None if found is not None else None


class _Limited:
    """A file that may be read up to the protocol's limit: more is a bomb, or no sitemap."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file, self._left = file, MAX_BYTES

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes at most; raises ``SitemapBroken`` past the limit."""
        piece = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise SitemapBroken(f"is larger than {MAX_BYTES // 2**20} MiB, the most that a sitemap may be")
        return piece
