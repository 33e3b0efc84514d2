"""The pages that a site's sitemap lists, and those of the sitemaps that it lists."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from ingest.sources.entry import Entry, ListingFailed
from ingest.sources.http_client import HttpFailed
from ingest.sources.links import canonical
from ingest.sources.page import OK, Pages, filename_of
from ingest.sources.patterns import Patterns
from ingest.sources.robots import RobotsRefused
from ingest.sources.sitemap import Listed, SitemapBroken, read_sitemap

MAX_SITEMAPS = 1000
_NAMED = 3  # sitemaps that a failure names


@dataclass(slots=True)
class SitemapPages:
    """The pages of the sitemap at ``url`` that lie on its own host, as the protocol asks, and that robots.txt allows.

    ``trust_lastmod``: a page's ``<lastmod>`` is its mark. Many sites write one that is not true, so it is not believed unasked.
    """

    url: str
    max_pages: int
    trust_lastmod: bool
    pages: Pages
    folder: Path
    patterns: Patterns
    _waiting: deque[str] = field(default_factory=deque)
    _sitemaps: set[str] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)  # hashes of addresses: a tenth of their size
    _failures: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        """Each page once. Raises ``ListingFailed``, after what could be read, if a sitemap could not, or is empty."""
        self._queue(self.url)
        while self._waiting:
            url = self._waiting.popleft()
            try:
                yield from self._of(url)
            except SitemapBroken as broken:
                self._failures.append(f"{url} {broken.detail}")
                if len(self._seen) >= self.max_pages:
                    break
            except (HttpFailed, RobotsRefused) as failed:
                self._failures.append(failed.detail.rstrip("."))
        if not (self._failures or self._seen):
            self._failures.append("the sitemap lists no page of its own host that may be read")
        if self._failures:
            raise ListingFailed(f"The sitemap could not be read whole: {'; '.join(self._failures[:_NAMED])}.")

    def _of(self, url: str) -> Iterator[Entry]:
        """The pages of one sitemap; those that it names as sitemaps into the queue."""
        page = self.pages.get(url, self.folder)
        if page.status != OK or page.path is None:
            raise SitemapBroken(f"answered {page.status}")
        path = Path(page.path)
        try:
            for line in read_sitemap(path):
                address = canonical(line.url, page.url)
                if address is None or httpx2.URL(address).host != httpx2.URL(self.url).host:
                    continue
                if line.is_sitemap:
                    self._queue(address)
                elif entry := self._page(address, line):
                    yield entry
        finally:
            path.unlink()

    def _page(self, address: str, line: Listed) -> Entry | None:
        if hash(address) in self._seen or address not in self.patterns or not self.pages.robots.allows(address):
            return None
        if len(self._seen) >= self.max_pages:
            raise SitemapBroken(f"lists more than {self.max_pages} pages (max_pages)")
        self._seen.add(hash(address))
        mark = line.lastmod if self.trust_lastmod else None
        return Entry(address, mark and mark[:100], filename=filename_of(address), url=address)

    def _queue(self, url: str) -> None:
        if url in self._sitemaps:
            return
        if len(self._sitemaps) >= MAX_SITEMAPS:
            raise SitemapBroken(f"lists more than {MAX_SITEMAPS} sitemaps")
        self._sitemaps.add(url)
        self._waiting.append(url)
