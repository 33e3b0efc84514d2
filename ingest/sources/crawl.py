"""A walk over a site's pages, from one page along the links, breadth first."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import msgspec
import structlog

from ingest.mime import FORMATS, Reader
from ingest.sources.entry import Entry, ListingFailed
from ingest.sources.http_client import HttpFailed
from ingest.sources.links import canonical, links
from ingest.sources.page import GONE, OK, Page, Pages, filename_of
from ingest.sources.patterns import Patterns
from ingest.sources.robots import RobotsRefused

_PAGES = {"text/html", "application/xhtml+xml"}
_NO_TEXT = ("image/", "video/", "audio/", "font/", "text/css", "text/javascript", "application/javascript")
_NO_TEXT_SUFFIX = re.compile(
    "7z|apk|avi|avif|bmp|bz2|css|deb|dmg|eot|exe|gif|gz|ico|iso|jar|jpe?g|js|m4[av]|map|mjs|mov|mp[34]|msi|og[gv]|otf|png"
    "|rar|rpm|svg|tgz|tiff?|ttf|wav|web[mp]|woff2?|xz|zip"
)
_DOCUMENT_SUFFIXES = frozenset(
    suffix for form in FORMATS if form.reader not in {Reader.HTML, Reader.CODE} for suffix in form.suffixes
)
_NAMED = 3  # pages that a failure names

log = structlog.get_logger()


@dataclass(slots=True)
class Crawl:
    """The pages of the host of ``start``, at or below its folder, at most ``depth`` links away and ``max_pages`` many.

    The pages read for their links are kept in ``folder`` (``kept``), so that a fetch needs not ask for them again.
    """

    start: str
    depth: int
    max_pages: int
    pages: Pages
    folder: Path
    patterns: Patterns
    _seen: set[str] = field(default_factory=set)
    _unread: list[str] = field(default_factory=list)
    _cut: bool = False

    def entries(self) -> Iterator[Entry]:
        """Each page as it is read, and each linked document (PDF, DOCX ...), which is not.

        Raises ``ListingFailed`` at once if the first page cannot be read; at the end, if a page could not be read (so what
        it links to is unknown) or if ``max_pages`` was reached with more to come.
        """
        first = self._first()
        scope = _Scope(first.url)
        self._seen = {first.url}
        queue: deque[tuple[str, int]] = deque()
        yield from self._take(first, 0, scope, queue)
        while queue:
            url, depth = queue.popleft()
            if _suffix(url) in _DOCUMENT_SUFFIXES:
                yield Entry(url, filename=filename_of(url), url=url)
            elif page := self._read(url, scope):
                yield from self._take(page, depth, scope, queue)
        self._conclude()

    def kept(self, url: str) -> Page | None:
        """The page as it was crawled, if it was."""
        record = self._record(url)
        return msgspec.json.decode(record.read_bytes(), type=Page) if record.exists() else None

    def _first(self) -> Page:
        try:
            page = self.pages.get(self.start, self.folder)
        except (HttpFailed, RobotsRefused) as error:
            raise ListingFailed(error.detail) from error
        if page.status != OK:
            raise ListingFailed(f"The first page answered {page.status}.")
        came = canonical(page.url)
        if came is None or _bare_host(came) != _bare_host(self.start):
            raise ListingFailed("The first page redirects to another host: give that one if it is meant.")
        return msgspec.structs.replace(page, url=came)

    def _read(self, url: str, scope: _Scope) -> Page | None:
        """A page below the first; ``None`` if there is none here, or none that could be read, which is noted."""
        try:
            page = self.pages.get(url, self.folder)
        except RobotsRefused:
            return None
        except HttpFailed as failed:
            if failed.code == "too_large":  # a document, whatever it is: fetching it will say so again, for itself
                return Page(url, OK)
            if failed.code in {"address_refused", "invalid_url"}:  # it leads out of the site
                log.info("source_link_refused", url=url, reason=failed.detail)
            else:
                self._unread.append(f"{url} ({failed.code})")
            return None
        if page.status != OK:
            if page.status not in GONE:
                self._unread.append(f"{url} ({page.status})")
            return None
        final = scope.address(page.url)
        if final is None or (final != url and final in self._seen):
            return None
        self._seen.add(final)
        return msgspec.structs.replace(page, url=final)

    def _take(self, page: Page, depth: int, scope: _Scope, queue: deque[tuple[str, int]]) -> Iterator[Entry]:
        """A page that was read: itself, if it is a document and wanted; its links into the queue."""
        if page.path is None:
            yield Entry(page.url, filename=filename_of(page.url), url=page.url)
            return
        path = Path(page.path)
        if page.media_type in _PAGES and depth < self.depth:
            for target in links(path, page.url, page.charset):
                self._queue(scope.address(target), depth + 1, queue)
        if page.media_type.startswith(_NO_TEXT) or page.url not in self.patterns:
            path.unlink()
            return
        self._record(page.url).write_bytes(msgspec.json.encode(page))
        yield Entry(page.url, page.sha256, filename=filename_of(page.url), content_type=page.content_type, url=page.url)

    def _queue(self, url: str | None, depth: int, queue: deque[tuple[str, int]]) -> None:
        if url is None or url in self._seen or _NO_TEXT_SUFFIX.fullmatch(_suffix(url)) or self.patterns.leaves_out(url):
            return
        if _suffix(url) in _DOCUMENT_SUFFIXES and url not in self.patterns:
            return
        if len(self._seen) >= self.max_pages:
            self._cut = True
            return
        self._seen.add(url)
        queue.append((url, depth))

    def _conclude(self) -> None:
        reasons = []
        if self._cut:
            reasons.append(f"the site has more than {self.max_pages} pages (max_pages)")
        if self._unread:
            more = f" and {len(self._unread) - _NAMED} more" if len(self._unread) > _NAMED else ""
            reasons.append(f"these pages could not be read: {', '.join(self._unread[:_NAMED])}{more}")
        if reasons:
            raise ListingFailed(f"The site could not be listed whole: {'; '.join(reasons)}.")

    def _record(self, url: str) -> Path:
        return self.folder / f"{hashlib.sha256(url.encode()).hexdigest()}.json"


class _Scope:
    """The host of a page, and the paths at or below its folder."""

    def __init__(self, url: str) -> None:
        self._base = httpx2.URL(url)
        parent, _, last = self._base.path.rpartition("/")
        self._folder = f"{parent}/" if "." in last or not last else f"{self._base.path}/"

    def address(self, url: str) -> str | None:
        """The canonical form of an address within, ``None`` for one outside; ``http`` becomes the first page's ``https``."""
        found = httpx2.URL(canonical(url) or "")
        if (found.scheme, self._base.scheme) == ("http", "https") and found.port is None and self._base.port is None:
            found = found.copy_with(scheme="https")
        if (found.scheme, found.host, found.port) != (self._base.scheme, self._base.host, self._base.port):
            return None
        inside = (
            found.path == self._base.path or f"{found.path}/" == self._folder or found.path.startswith(self._folder)
        )
        return str(found) if inside else None


def _bare_host(url: str) -> str:
    return httpx2.URL(url).host.removeprefix("www.")


def _suffix(url: str) -> str:
    return httpx2.URL(url).path.rpartition("/")[2].rpartition(".")[2].lower()
