"""Confluence, Notion, Google Drive, SharePoint, Slack, Jira, Zendesk and others as a source, by ``unstructured-ingest``.

Its indexers list and its downloaders fetch; nothing else of it is used. It is an extra (``connectors``), imported here when
such a source is opened; each connector wants the client library of its service beside it (``unstructured-ingest[notion]``).

What was run: the interface, with the library's own ``local`` connector, and with connectors made for the tests. What was
not, for want of accounts: the connectors to the services themselves, whose settings are checked against the library's
models, no more. What a service allows whom is not taken over: its documents get the source's ``allowed_groups``.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ingest.sources.address import AddressRefused, AddressRules, HostUnknown
from ingest.sources.copying import Limits, told
from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.sources.patterns import ALL, Patterns

# Limits that a connector has unasked, and that would cut a listing short without a word.
_WHOLE: Mapping[str, Mapping[str, Any]] = {
    "confluence": {"max_num_of_spaces": 10**6, "max_num_of_docs_from_each_space": 10**6},
}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ConnectorPlan:
    """A connector's name and settings, as the library names them; the secrets are in ``connection`` already."""

    name: str
    connection: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)
    download: Mapping[str, Any] = field(default_factory=dict)


class ConnectorReader:
    """Reads a service. The identity is the service's id of a document; the mark its version, or time of change and size.

    The key is the path that the connector gives it; where two have the same, its id follows. A listing that fails, or has
    nothing in it, is no listing: services that refuse a token answer with an empty list.
    """

    def __init__(
        self,
        plan: ConnectorPlan,
        rules: AddressRules,
        patterns: Patterns = ALL,
        *,
        scratch: Path | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._plan, self._rules, self._patterns = plan, rules, patterns
        self._scratch, self._limits = scratch, limits
        self._folder: Path | None = None
        self._listed: sqlite3.Connection | None = None
        self._entry = source_entry(plan.name)

    def entries(self) -> Iterator[Entry]:
        """Every document. The list is first written to a file, so that it takes no memory and equal paths are seen."""
        listed = self._list()
        total = 0
        rows = listed.execute(
            "SELECT CASE WHEN twins = 1 THEN path ELSE path || ' [' || id || ']' END, id, mark, filename, url FROM documents"
            " JOIN (SELECT path AS same, count(*) AS twins FROM documents GROUP BY path) ON path = same"
        )
        for key, identity, mark, filename, url in rows:
            total += 1
            if key in self._patterns:
                yield Entry(key, mark, identity, filename=filename, url=url)
        if not total:
            raise ListingFailed(f"{self._plan.name} lists no document; a token without rights looks the same.")

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:  # noqa: ARG002 - the mark tells change
        """Download a document into ``folder``. What hangs on it (attachments, pictures) is not taken."""
        from unstructured_ingest.data_types.file_data import FileData  # noqa: PLC0415

        try:
            found = self._list().execute("SELECT data FROM documents WHERE id = ?", [entry.identity]).fetchone()
        except ListingFailed as failed:
            raise FetchFailed("connector_failed", failed.detail, transient=True) from failed
        if found is None:
            raise FetchFailed("not_found", f"{entry.key} is not there any more.", gone=True)
        place = Path(tempfile.mkdtemp(prefix="download-", dir=folder))
        try:
            config = self._model("downloader_config", self._plan.download, download_dir=place)
            options = {"download_config": config} if config is not None else {}
            downloader = self._entry.downloader(connection_config=self._connection(), **options)
            answer = asyncio.run(_within(downloader, FileData.model_validate_json(found[0]), self._limits.timeout_s))
            first = answer[0] if isinstance(answer, list) else answer
            path = self._kept(Path(first["path"]), place, folder, entry.key)
        except FetchFailed:
            raise
        except TimeoutError as error:
            raise FetchFailed("timeout", f"{entry.key} took too long.", transient=True) from error
        except FileNotFoundError as error:
            raise FetchFailed("not_found", f"{entry.key} is not there any more.", gone=True) from error
        except Exception as error:
            raise FetchFailed("connector_failed", told(entry.key, error), transient=True) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return Fetched(path, temporary=True, filename=entry.filename or path.name, url=entry.url)

    def close(self) -> None:
        """Drop the list."""
        if self._listed is not None:
            self._listed.close()
            self._listed = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _list(self) -> sqlite3.Connection:
        """The list of documents, made at first use."""
        if self._listed is not None:
            return self._listed
        self._check_hosts(self._plan.connection)
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="connector-", dir=self._scratch))
        listed = sqlite3.connect(self._folder / "documents", check_same_thread=False)
        listed.execute("DROP TABLE IF EXISTS documents")
        listed.execute(
            "CREATE TABLE documents (id TEXT PRIMARY KEY, path TEXT, mark TEXT, filename TEXT, url TEXT, data TEXT)"
        )
        listed.execute("CREATE INDEX paths ON documents (path)")
        try:
            index = self._model("indexer_config", index_settings(self._plan))
            indexer = self._entry.indexer(connection_config=self._connection(), index_config=index)
            indexer.precheck()
            listed.executemany(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?)", map(_row, _indexed(indexer))
            )
        except Exception as error:
            listed.close()
            raise ListingFailed(told(self._plan.name, error)) from error
        listed.commit()
        self._listed = listed
        return listed

    def _connection(self) -> Any:
        return self._model("connection_config", self._plan.connection)

    def _model(self, kind: str, values: Mapping[str, Any], **more: Any) -> Any:
        """One of the connector's settings models; ``None`` if it has none of this kind."""
        model = getattr(self._entry, kind)
        return None if model is None else model.model_validate({**values, **more})

    def _check_hosts(self, values: Any) -> None:
        """Look at every web address among the settings: a connector may go to public hosts, and to those that are allowed."""
        if isinstance(values, Mapping):
            for value in values.values():
                self._check_hosts(value)
        elif isinstance(values, str) and values.startswith(("http://", "https://")):
            parts = urlsplit(values)
            try:
                self._rules.addresses(parts.hostname or "", parts.port or _PORTS[parts.scheme])
            except (AddressRefused, HostUnknown) as error:
                raise ListingFailed(error.detail) from error

    def _kept(self, path: Path, place: Path, folder: Path, key: str) -> Path:
        """The downloaded file, in ``folder``: moved, or copied if the connector gives one that was there before."""
        if path.stat().st_size > self._limits.max_bytes:
            most = f"{self._limits.max_bytes / 2**20:g} MiB"
            raise FetchFailed("too_large", f"{key} is larger than {most}, the most that is taken.")
        with tempfile.NamedTemporaryFile(dir=folder, prefix="file-", delete=False) as file:
            target = Path(file.name)
        own = path.resolve().is_relative_to(place.resolve())
        shutil.move(path, target) if own else shutil.copyfile(path, target)
        return target


def index_settings(plan: ConnectorPlan) -> dict[str, Any]:
    """The settings that a plan's listing is made with: its own, and before them those that make it whole."""
    return {**_WHOLE.get(plan.name, {}), **plan.index}


def source_entry(name: str) -> Any:
    """The library's entry for a connector; raises ``KeyError`` for one that it has not, ``ImportError`` without the library."""
    import unstructured_ingest.processes.connectors  # noqa: F401, PLC0415 - fills the registry
    from unstructured_ingest.processes.connector_registry import source_registry  # noqa: PLC0415

    return source_registry[name]


async def _within(downloader: Any, data: Any, timeout_s: float) -> Any:
    async with asyncio.timeout(timeout_s):
        if downloader.is_async():
            return await downloader.run_async(file_data=data)
        return await asyncio.to_thread(downloader.run, file_data=data)


def _indexed(indexer: Any) -> Iterator[Any]:
    """What an indexer lists; an asynchronous one is run here, as the reader has a thread of its own."""
    if not indexer.is_async():
        yield from indexer.run()
        return
    with asyncio.Runner() as runner:
        listing = indexer.run_async()
        while (data := runner.run(_next(listing))) is not None:
            yield data


async def _next(listing: Any) -> Any:
    return await anext(listing, None)


def _row(data: Any) -> tuple[str, str, str | None, str | None, str | None, str]:
    """A listed document as it is kept: id, path, mark, file name, address, and all that the downloader wants back."""
    names, about = data.source_identifiers, data.metadata
    path = (names.relative_path if names else data.identifier).lstrip("/")
    changed = about.version or about.date_modified
    mark = f"{changed}:{about.filesize_bytes}"[:200] if changed else None
    return data.identifier, path, mark, names.filename if names else None, about.url, data.model_dump_json()
