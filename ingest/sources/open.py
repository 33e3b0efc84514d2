"""Open a source: its reader, by its kind."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ingest.sources.address import AddressRules, Resolver, address_rules, look_up
from ingest.sources.connectors import ConnectorPlan, ConnectorReader
from ingest.sources.copying import Limits
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import FetchFailed, SourceReader
from ingest.sources.filesystem import FilesystemReader
from ingest.sources.git import GitPlan, GitReader
from ingest.sources.http_client import HttpClient, HttpLimits
from ingest.sources.objects import ObjectsReader
from ingest.sources.patterns import Patterns, check_patterns
from ingest.sources.plan import DirectoryPlan, StorePlan, plan_source
from ingest.sources.robots import AGENT, Robots
from ingest.sources.store_url import WEB, StoreUrl
from ingest.sources.web import WebPlan, WebReader

_OBJECT_STORES = {"s3", "gcs", "azure"}


def open_source(
    kind: str,
    uri: str,
    options: Mapping[str, Any] | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    allow_addresses: Sequence[str] = (),
    secrets: Mapping[str, str] | None = None,
    scratch: Path | None = None,
    limits: Limits = Limits(),
    resolve: Resolver = look_up,
    sleep: Callable[[float], None] = time.sleep,
    ssl_context: ssl.SSLContext | None = None,
) -> SourceReader:
    """The reader of a source; nothing is read yet. It lists only what ``include`` and ``exclude`` let through.

    ``allow_addresses``: hosts and networks beyond the public ones (``address_rules``). ``secrets``: what ``{"env": NAME}`` in
    the options may name. ``scratch``: a folder for clones and crawled pages (the system's, if ``None``). ``resolve``,
    ``sleep`` and ``ssl_context`` are what the readers of the web look names up, wait and speak TLS with.

    Raises ``InvalidInput``.
    """
    check_patterns(include, "include")
    check_patterns(exclude, "exclude")
    rules = address_rules(allow_addresses, resolve)
    plan = plan_source(kind, uri, options or {}, rules, secrets or {})
    patterns = Patterns(tuple(include), tuple(exclude))

    def web(wanted: WebPlan) -> WebReader:
        return _web_reader(wanted, rules, patterns, scratch, limits, sleep, ssl_context)

    match plan:
        case DirectoryPlan():
            return DirectoryReader(plan.root, patterns)
        case WebPlan():
            return web(plan)
        case GitPlan():
            return GitReader(plan, rules, patterns, scratch=scratch, limits=limits)
        case ConnectorPlan():
            return ConnectorReader(plan, rules, patterns, scratch=scratch, limits=limits)
        case StorePlan(url=StoreUrl(archive=None, path=Path() as path)):
            return DirectoryReader(path, patterns)
        case StorePlan(url=StoreUrl(archive=None, store=store)) if store in _OBJECT_STORES:
            return ObjectsReader(plan.url, plan.options, patterns, limits)
        case StorePlan():
            archive = None
            if plan.url.protocol in WEB:
                page = WebPlan(f"{plan.url.protocol}://{plan.url.place}")
                archive = _download(_web_reader(page, rules, Patterns(), scratch, limits, sleep, ssl_context))
            return FilesystemReader(plan.url, plan.options, archive, patterns, scratch=scratch, limits=limits)


def _web_reader(
    plan: WebPlan,
    rules: AddressRules,
    patterns: Patterns,
    scratch: Path | None,
    limits: Limits,
    sleep: Callable[[float], None],
    ssl_context: ssl.SSLContext | None,
) -> WebReader:
    client = HttpClient(
        rules,
        f"{AGENT}/{metadata.version('footnote')}",
        HttpLimits(limits.max_bytes, limits.timeout_s),
        ssl_context or ssl.create_default_context(),
    )
    return WebReader(plan, client, Robots(client, sleep, time.monotonic), patterns, scratch)


def _download(reader: WebReader) -> Callable[[Path], Path]:
    """A function that brings the one page of ``reader``, an archive, into a folder; a failure is an ``OSError``."""

    def bring(folder: Path) -> Path:
        try:
            fetched = reader.fetch(next(reader.entries()), folder, None)
        except FetchFailed as failed:
            raise OSError(failed.detail) from failed
        finally:
            reader.close()
        if fetched is None:
            raise OSError("the archive did not come")
        return fetched.path

    return bring
