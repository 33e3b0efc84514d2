"""robots.txt (RFC 9309): which pages of a site may be read, and how long to wait between two.

Read with protego, which knows what the standard added (``*`` and ``$`` in paths, the longest rule wins) and the
standard library's ``urllib.robotparser`` does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2
from protego import Protego

from ingest.sources.http_client import HttpClient, HttpFailed

AGENT = "Footnote"  # the product token that a robots.txt may name
MAX_DELAY_S = 60.0
_MAX_BYTES = 500 * 1024  # RFC 9309 2.5: a crawler must take at least 500 KiB
_SERVER_ERROR = 500
_TOO_MANY = 429
_CLIENT_ERROR = 400


class RobotsRefused(Exception):  # noqa: N818 - names what happened
    """robots.txt keeps a page from being read; ``detail`` is a sentence for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(slots=True)
class Robots:
    """The rules of each host that a source has met, read once; keeps the pause that a host asks for before each request.

    A longer pause than a minute is cut to a minute.
    """

    client: HttpClient
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    _rules: dict[str, Protego] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)

    def permit(self, url: str) -> None:
        """Wait until the page may be asked for; raises ``RobotsRefused``, or ``HttpFailed`` if the rules cannot be read now."""
        site = _site(url)
        if not self.allows(url):
            raise RobotsRefused(f"robots.txt of {site} does not allow this page.")
        pause = min(float(self._rules[site].crawl_delay(AGENT) or 0.0), MAX_DELAY_S)
        if pause and site in self._asked:
            rest = self._asked[site] + pause - self.clock()
            if rest > 0:
                self.sleep(rest)
        self._asked[site] = self.clock()

    def allows(self, url: str) -> bool:
        """Whether the page may be read; raises ``HttpFailed`` if the rules cannot be read now."""
        site = _site(url)
        if site not in self._rules:
            self._rules[site] = self._read(site)
        return bool(self._rules[site].can_fetch(url, AGENT))

    def _read(self, site: str) -> Protego:
        """The rules of a site: none if it has no such file (4xx); out of reach, nothing is allowed now (RFC 9309 2.3.1)."""
        with self.client.get(f"{site}/robots.txt") as answer:
            if answer.status >= _SERVER_ERROR or answer.status == _TOO_MANY:
                detail = f"{site}/robots.txt answered {answer.status}, so it is not known what may be read."
                raise HttpFailed("robots_unavailable", detail, transient=True)
            if answer.status >= _CLIENT_ERROR:
                return Protego.parse("")
            text = bytearray()
            for piece in answer.pieces():
                text += piece[: _MAX_BYTES - len(text)]
                if len(text) >= _MAX_BYTES:
                    break
        return Protego.parse(text.decode("utf-8", "replace"))


def _site(url: str) -> str:
    found = httpx2.URL(url)
    return str(found.copy_with(raw_path=b"/", fragment=None)).rstrip("/")
