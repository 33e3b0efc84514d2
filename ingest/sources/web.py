"""Pages of the web as a source: one page, the pages of a sitemap, or a site crawled along its links."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.sources.crawl import Crawl
from ingest.sources.entry import Entry, Fetched, FetchFailed
from ingest.sources.http_client import HttpClient, HttpFailed
from ingest.sources.page import GONE, NOT_MODIFIED, OK, Page, Pages, filename_of, is_transient
from ingest.sources.patterns import ALL, Patterns
from ingest.sources.robots import Robots, RobotsRefused
from ingest.sources.sitemap_pages import SitemapPages


@dataclass(frozen=True, slots=True)
class WebPlan:
    """What of the web is wanted. ``mode``: ``page``, ``sitemap`` or ``crawl``; ``url`` is canonical.

    ``depth`` = links away from the first page (crawl); ``trust_lastmod`` takes a sitemap's dates as the sign of change.
    """

    url: str
    mode: str = "page"
    depth: int = 3
    max_pages: int = 1000
    trust_lastmod: bool = False


class WebReader:
    """Reads web pages. The key is the canonical address; robots.txt is honoured, with its crawl-delay.

    A page is asked for again only if it changed, by its ``ETag`` or ``Last-Modified`` (the validator), or, in a crawl, by
    the content that the crawl has seen (the mark). Nothing of a page survives a move, so there is no identity.
    """

    def __init__(
        self, plan: WebPlan, client: HttpClient, robots: Robots, patterns: Patterns = ALL, scratch: Path | None = None
    ) -> None:
        self._plan, self._client, self._robots, self._patterns = plan, client, robots, patterns
        self._pages = Pages(client, robots)
        self._scratch = scratch
        self._folder: Path | None = None
        self._crawl: Crawl | None = None

    def entries(self) -> Iterator[Entry]:
        """The page; the sitemap's pages on its own host; or the site's pages (see ``Crawl``).

        The listing fails if not all of it could be told: a page or a sitemap could not be read, or there are more than
        ``max_pages``. What could be told is listed first.
        """
        match self._plan.mode:
            case "sitemap":
                plan = self._plan
                yield from SitemapPages(
                    plan.url, plan.max_pages, plan.trust_lastmod, self._pages, self._own_folder(), self._patterns
                ).entries()
            case "crawl":
                plan = self._plan
                self._crawl = Crawl(
                    plan.url, plan.depth, plan.max_pages, self._pages, self._own_folder(), self._patterns
                )
                yield from self._crawl.entries()
            case _:
                if self._plan.url in self._patterns:
                    yield Entry(self._plan.url, filename=filename_of(self._plan.url), url=self._plan.url)

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        """A page's body in a new file of ``folder``; from the crawl that has just read it, if it has."""
        page = self._crawl.kept(entry.key) if self._crawl else None
        if page is not None and page.path and Path(page.path).exists():
            if validator is not None and page.validator == validator:
                return None
        else:
            page = self._get(entry.key, folder, validator)
        if page.status == NOT_MODIFIED:
            return None
        if page.path is None or page.status != OK:
            detail = f"The page answered {page.status}."
            raise FetchFailed(
                f"http_{page.status}", detail, transient=is_transient(page.status), gone=page.status in GONE
            )
        path = Path(shutil.move(page.path, folder / Path(page.path).name))
        return Fetched(
            path,
            temporary=True,
            filename=filename_of(page.url) or entry.filename,
            content_type=page.content_type,
            url=page.url,
            validator=page.validator,
        )

    def close(self) -> None:
        """Close the connections and drop the pages that a crawl kept."""
        self._client.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _get(self, url: str, folder: Path, validator: str | None) -> Page:
        try:
            return self._pages.get(url, folder, validator)
        except RobotsRefused as refused:
            raise FetchFailed("robots_refused", refused.detail) from refused
        except HttpFailed as failed:
            raise FetchFailed(failed.code, failed.detail, transient=failed.transient) from failed

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="web-", dir=self._scratch))
        return self._folder
