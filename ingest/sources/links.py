"""The links of a web page, and the one way in which an address is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
from lxml import etree

from ingest.sources.http_client import with_path

MAX_ADDRESS = 1024  # of a document's external id
_PIECE = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}


def canonical(url: str, base: str | None = None) -> str | None:
    """An address as it names a page: absolute, no fragment, host in lower case, default port and ``..`` resolved away.

    ``None`` if it is no http or https address, carries a user name or password, or is too long to name a document.
    """
    try:
        found = httpx2.URL(base).join(url.strip()) if base else httpx2.URL(url.strip())
        found = httpx2.URL(found).copy_with(fragment=None)
        if found.scheme not in _DEFAULT_PORTS or not found.host or "%" in found.host or found.userinfo:
            return None
        if found.port == _DEFAULT_PORTS[found.scheme]:
            found = found.copy_with(port=None)
        if found.host.endswith("."):
            found = found.copy_with(host=found.host.rstrip("."))
        text = str(with_path(found))
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        return None
    return text if len(text) <= MAX_ADDRESS else None


def links(path: Path, url: str, encoding: str | None = None) -> Iterator[str]:
    """The canonical addresses that the HTML file ``path``, which came from ``url``, links to; each once, in order.

    ``<a>``, ``<area>`` and ``<frame>`` count; ``rel="nofollow"`` does not. ``encoding`` is what the server said.
    """
    found = _Links()
    try:
        parser = etree.HTMLParser(target=found, encoding=encoding, no_network=True, huge_tree=False)
    except LookupError:  # an encoding that nobody knows
        parser = etree.HTMLParser(target=found, no_network=True, huge_tree=False)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                parser.feed(piece)
        parser.close()
    except etree.XMLSyntaxError:
        pass  # an empty file, or one that stops being HTML: what was found so far are its links
    base = canonical(found.base, url) if found.base else None
    seen = dict.fromkeys(canonical(target, base or url) for target in found.targets)
    yield from (target for target in seen if target is not None)


class _Links:
    """What lxml tells of a page while it reads it; the tree is never built."""

    def __init__(self) -> None:
        self.base: str | None = None
        self.targets: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "base" and self.base is None:
            self.base = attributes.get("href")
        elif tag in {"a", "area"} and "nofollow" not in attributes.get("rel", "").lower().split():
            if target := attributes.get("href"):
                self.targets.append(target)
        elif tag in {"frame", "iframe"} and (target := attributes.get("src")):
            self.targets.append(target)

    def end(self, tag: str) -> None:
        """Nothing is asked of it."""

    def data(self, data: str) -> None:
        """Nothing is asked of it."""

    def close(self) -> None:
        """Nothing is asked of it."""
