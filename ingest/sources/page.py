"""One page of the web, brought to a file: the robots' rules kept, its headers told."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import httpx2
import msgspec

from ingest.sources.http_client import Answer, HttpClient
from ingest.sources.robots import Robots

OK, NOT_MODIFIED = 200, 304
GONE = {404, 410}
_TRANSIENT = {408, 425, 429}
_SERVER_ERROR = 500
_MAX_VALIDATOR = 500  # characters that are stored with a source's entry


class Page(msgspec.Struct, frozen=True):
    """A page's body in a file, ``sha256`` of it, and what its headers say. ``path`` is ``None`` if the body was not asked for."""

    url: str
    status: int
    path: str | None = None
    sha256: str | None = None
    content_type: str | None = None
    charset: str | None = None
    validator: str | None = None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return (self.content_type or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Pages:
    """Gets pages over ``client``, each after ``robots`` permitted it, at every hop of a redirect."""

    client: HttpClient
    robots: Robots

    def get(self, url: str, folder: Path, validator: str | None = None) -> Page:
        """The page at ``url``, its body in a new file of ``folder`` if the answer is 200.

        ``validator`` is a former answer's: the server may then answer 304. Raises ``HttpFailed`` and ``RobotsRefused``.
        """
        with self.client.get(url, _conditions(validator), self.robots.permit) as answer:
            if answer.status != OK:
                return Page(str(answer.url), answer.status)
            path, digest = _store(answer, folder)
            return Page(
                str(answer.url),
                answer.status,
                str(path),
                digest,
                answer.headers.get("content-type"),
                answer.headers.encoding if "charset" in answer.headers.get("content-type", "").lower() else None,
                _validator(answer.headers),
            )


def is_transient(status: int) -> bool:
    """Whether another try may bring another answer."""
    return status in _TRANSIENT or status >= _SERVER_ERROR


def filename_of(url: str) -> str | None:
    """The last part of an address, if it looks like a file's name: it helps to tell the format."""
    name = unquote(httpx2.URL(url).path.rpartition("/")[2])
    return name if "." in name.strip(".") else None


def _store(answer: Answer, folder: Path) -> tuple[Path, str]:
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=folder, prefix="page-", delete=False) as file:
        path = Path(file.name)
        try:
            for piece in answer.pieces():
                digest.update(piece)
                file.write(piece)
        except BaseException:
            path.unlink()
            raise
    return path, digest.hexdigest()


def _validator(headers: httpx2.Headers) -> str | None:
    """``ETag`` and ``Last-Modified`` in one string; ``None`` if the server gives neither, or at a length that is not kept."""
    held = {name: headers[name] for name in ("etag", "last-modified") if name in headers}
    text = msgspec.json.encode(held).decode()
    return text if held and len(text) <= _MAX_VALIDATOR else None


def _conditions(validator: str | None) -> Mapping[str, str]:
    if validator is None:
        return {}
    held = msgspec.json.decode(validator, type=dict[str, str])
    named = {"If-None-Match": held.get("etag"), "If-Modified-Since": held.get("last-modified")}
    return {name: value for name, value in named.items() if value}
