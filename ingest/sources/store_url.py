"""A URL of a store, taken apart and checked: which driver it wants, whether it is of this machine, whose host it names."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec

from infra.errors import InvalidInput

LOCAL = {"file", "local"}
WEB = {"http", "https"}
ARCHIVES = {"zip", "tar"}
_OBJECTS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
_HOSTS = {"sftp": "sftp", "ssh": "sftp", "ftp": None}  # protocol: the extra that brings its driver
_OTHERS = {"memory", "github"}
PROTOCOLS = sorted({*LOCAL, *WEB, *_OBJECTS, *_HOSTS, *_OTHERS})
_DRIVERS = {"s3": "obstore", "gcs": "obstore", "azure": "obstore", "sftp": "paramiko"}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """``protocol`` and ``place`` of the store; ``archive`` (``zip``, ``tar``) and ``member`` (a folder in it) if there is one.

    ``text`` is what was given; ``chain`` is the same as ``fsspec`` reads it.
    """

    text: str
    protocol: str
    place: str
    archive: str | None = None
    member: str = ""

    @property
    def chain(self) -> str:
        """The URL for ``fsspec``, whose archives are named before the place that they are kept in."""
        base = f"{self.protocol}://{self.place}"
        return base if self.archive is None else f"{self.archive}://{self.member}::{base}"

    @property
    def extra(self) -> str | None:
        """The extra of this package that brings the driver; ``None`` if it is always there."""
        return _OBJECTS.get(self.protocol) or _HOSTS.get(self.protocol)

    @property
    def host(self) -> str | None:
        """The machine that the URL names, where a driver would look it up by itself: the operator must allow it."""
        return urlsplit(f"{self.protocol}://{self.place}").hostname or "" if self.protocol in _HOSTS else None

    @property
    def path(self) -> Path | None:
        """The path on this machine; ``None`` if the store is elsewhere."""
        return Path(self.place) if self.protocol in LOCAL else None

    @property
    def store(self) -> str:
        """The kind of object store (``s3``, ``gcs``, ``azure``), or the protocol."""
        return _OBJECTS.get(self.protocol, self.protocol)


def parse_store_url(text: str) -> StoreUrl:
    """Take a URL apart. Raises ``InvalidInput`` for a protocol that is not read, or a password in it."""
    first, chained, rest = text.partition("::")
    archive, member, base = None, "", text
    if chained:
        archive, _, member = first.partition("://")
        base = rest
        if archive not in ARCHIVES or "::" in rest:
            raise _invalid("Only zip:: and tar:: may stand before a URL, and only one of them.")
    found = _SCHEME.match(base)
    protocol = found[1].lower() if found else "file"
    place = base[found.end() :] if found else base
    if protocol not in PROTOCOLS:
        raise _invalid(f"{protocol}:// is not read; allowed: {', '.join(f'{name}://' for name in PROTOCOLS)}.")
    user, at, _ = place.partition("/")[0].rpartition("@")
    if at and ":" in user and protocol != "github":
        raise _invalid("A URL must hold no password: the store's driver takes it from its own configuration.")
    if not place or "\x00" in text or (protocol in _HOSTS and not urlsplit(f"{protocol}://{place}").hostname):
        raise _invalid("The URL names no place.")
    if protocol in LOCAL:
        protocol, place = "file", unquote(place) if found and "%" in place else place
        if not Path(place).is_absolute():
            raise _invalid("A path of this machine must be absolute.")
    return StoreUrl(text, protocol, place, archive, member)


def check_driver(url: StoreUrl) -> None:
    """Raise ``InvalidInput`` that names the extra to install, if the URL's driver is not there."""
    if url.extra and importlib.util.find_spec(_DRIVERS[url.extra]) is None:
        detail = f"{url.protocol}:// needs a driver that is not installed: pip install 'footnote[{url.extra}]'."
        raise InvalidInput(detail, code="driver_missing")
    if url.store in {"s3", "gcs", "azure"}:
        _register(url.protocol)


def store_options(url: StoreUrl, options: Mapping[str, Any]) -> dict[str, Any]:
    """A source's options as the store's driver takes them."""
    chosen: dict[str, Any] = {}
    if url.store in {"s3", "gcs", "azure"}:
        if "region" in options:
            chosen["region"] = options["region"]
        if "account" in options:
            chosen["account_name"] = options["account"]
        if options.get("anonymous"):
            chosen["skip_signature"] = True
        if endpoint := options.get("endpoint"):
            chosen["endpoint"] = endpoint
        plain = str(options.get("endpoint", "")).startswith("http://")
        chosen["client_options"] = {"timeout": "60s", "connect_timeout": "10s", "allow_http": plain}
        chosen["retry_config"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
    if url.protocol in _HOSTS:
        chosen["timeout"] = 30
    if url.store in {"sftp", "ssh"}:
        from ingest.sources.known_hosts import KnownHosts  # noqa: PLC0415 - its driver is an extra

        chosen |= {"host_key_policy": KnownHosts(), "banner_timeout": 30, "auth_timeout": 30}
    return chosen


def _register(protocol: str) -> None:
    """Let ``fsspec`` read a protocol by ``obstore``; imported here, as the extra need not be installed."""
    from obstore.fsspec import register  # noqa: PLC0415

    if fsspec.registry.get(protocol, None) is None or not fsspec.registry[protocol].__module__.startswith("obstore"):
        register(protocol)


def _invalid(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="invalid_source_uri")
