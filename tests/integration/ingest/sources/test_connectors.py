"""Connectors of unstructured-ingest: its own ``local``, and two made here in its interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("unstructured_ingest")
from pydantic import Field, Secret
from unstructured_ingest.data_types.file_data import FileData, FileDataSourceMetadata, SourceIdentifiers
from unstructured_ingest.interfaces import (
    AccessConfig,
    ConnectionConfig,
    Downloader,
    DownloaderConfig,
    Indexer,
    IndexerConfig,
)
from unstructured_ingest.processes.connector_registry import SourceRegistryEntry, source_registry

from infra.errors import InvalidInput
from ingest.sources import plan
from ingest.sources.address import AddressRules
from ingest.sources.connectors import ConnectorPlan, ConnectorReader, index_settings
from ingest.sources.copying import Limits
from ingest.sources.entry import Entry, FetchFailed, ListingFailed
from ingest.sources.open import open_source

PAGES: dict[str, tuple[str, str | None, bytes]] = {}  # the service: path, version, content, by the page's id


class WikiAccess(AccessConfig):
    token: str


class WikiConnection(ConnectionConfig):
    url: str = "https://wiki.test"
    access_config: Secret[WikiAccess]


class WikiIndex(IndexerConfig):
    space: str = Field(default="all")


class WikiIndexer(Indexer):
    def __init__(self, connection_config: WikiConnection, index_config: WikiIndex) -> None:
        self.connection_config, self.index_config = connection_config, index_config

    def precheck(self) -> None:
        if self.connection_config.access_config.get_secret_value().token != "s3cret":
            raise PermissionError("401 for https://user:s3cret@wiki.test/login")

    def run(self, **kwargs: Any) -> Iterator[FileData]:
        for number, (path, version, _) in PAGES.items():
            if version == "broken":
                raise ConnectionError("reset by peer")
            yield FileData(
                identifier=number,
                connector_type="notion",
                source_identifiers=SourceIdentifiers(filename=Path(path).name, fullpath=path),
                metadata=FileDataSourceMetadata(version=version, url=f"https://wiki.test/{number}"),
            )


class SlowIndexer(WikiIndexer):
    def is_async(self) -> bool:
        return True

    async def run_async(self, **kwargs: Any) -> AsyncIterator[FileData]:
        for data in super().run():
            yield data


class WikiDownloader(Downloader):
    def __init__(self, connection_config: WikiConnection, download_config: DownloaderConfig) -> None:
        self.connection_config, self.download_config = connection_config, download_config

    def is_async(self) -> bool:
        return False

    def run(self, file_data: FileData, **kwargs: Any) -> Any:
        if file_data.identifier not in PAGES:
            raise FileNotFoundError(file_data.identifier)
        path = self.get_download_path(file_data)
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PAGES[file_data.identifier][2])
        attachment = path.with_suffix(".png")
        attachment.write_bytes(b"png")
        main = self.generate_download_response(file_data=file_data, download_path=path)
        return [main, self.generate_download_response(file_data=file_data, download_path=attachment)]


class SlowDownloader(WikiDownloader):
    def is_async(self) -> bool:
        return True

    async def run_async(self, file_data: FileData, **kwargs: Any) -> Any:
        return self.run(file_data)


@pytest.fixture(params=["sync", "async"])
def wiki(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service in the place of Notion."""
    slow = request.param == "async"
    entry = SourceRegistryEntry(
        indexer=SlowIndexer if slow else WikiIndexer,
        downloader=SlowDownloader if slow else WikiDownloader,
        indexer_config=WikiIndex,
        downloader_config=DownloaderConfig,
        connection_config=WikiConnection,
    )
    plan.source_entry("local")  # fills the registry first
    monkeypatch.setitem(source_registry, "notion", entry)
    PAGES.clear()
    PAGES.update(
        {
            "1": ("team/Plan.html", "v1", b"plan"),
            "2": ("team/Same.html", "v1", b"one"),
            "3": ("team/Same.html", "v2", b"two"),
        }
    )
    yield
    PAGES.clear()


def opened(token: str = "s3cret", **more: Any) -> ConnectorReader:
    options = {"connection": {"access_config": {"token": {"env": "WIKI"}}}}
    more.setdefault("allow_addresses", ["wiki.test"])
    more.setdefault("resolve", lambda host, port: ["10.0.0.1"])
    reader = open_source("connector", "notion://team", options, secrets={"WIKI": token}, **more)
    assert isinstance(reader, ConnectorReader)
    return reader


def test_a_service(wiki: None, tmp_path: Path) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    with closing(opened(scratch=scratch)) as reader:
        entries = sorted(reader.entries(), key=lambda entry: entry.key)
        assert [(entry.key, entry.mark, entry.identity) for entry in entries] == [
            ("team/Plan.html", "v1:None", "1"),
            ("team/Same.html [2]", "v1:None", "2"),
            ("team/Same.html [3]", "v2:None", "3"),
        ]
        assert (entries[0].filename, entries[0].url) == ("Plan.html", "https://wiki.test/1")
        fetched = [reader.fetch(entry, out, None) for entry in entries]
        assert [one.path.read_bytes() for one in fetched if one] == [b"plan", b"one", b"two"]
    assert len(list(out.iterdir())) == 3
    assert list(scratch.iterdir()) == []


def test_a_fetch_without_a_listing_makes_one(wiki: None, tmp_path: Path) -> None:
    with closing(opened()) as reader:
        fetched = reader.fetch(Entry("team/Plan.html", identity="1"), tmp_path, None)
        assert fetched is not None
        assert fetched.path.read_bytes() == b"plan"
        with pytest.raises(FetchFailed) as caught:
            reader.fetch(Entry("team/Old.html", identity="9"), tmp_path, None)
        assert caught.value.gone
        del PAGES["2"]
        with pytest.raises(FetchFailed) as caught:
            reader.fetch(Entry("team/Same.html [2]", identity="2"), tmp_path, None)
        assert caught.value.gone


def test_a_listing_that_fails_or_is_empty_is_no_listing(wiki: None) -> None:
    with closing(opened(token="wrong")) as reader, pytest.raises(ListingFailed, match="PermissionError") as caught:
        list(reader.entries())
    assert "s3cret" not in caught.value.detail
    PAGES["9"] = ("x", "broken", b"")
    with closing(opened()) as reader, pytest.raises(ListingFailed, match="reset by peer"):
        list(reader.entries())
    PAGES.clear()
    with closing(opened()) as reader, pytest.raises(ListingFailed, match="lists no document"):
        list(reader.entries())


def test_its_addresses_are_looked_at_first(wiki: None, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"url": "http://169.254.169.254/", "access_config": {"token": "s3cret"}}
    monkeypatch.setattr(WikiIndexer, "run", lambda self: pytest.fail("it was asked"))
    with (
        closing(ConnectorReader(ConnectorPlan("notion", connection), AddressRules())) as reader,
        pytest.raises(ListingFailed, match="no public address"),
    ):
        list(reader.entries())


def test_a_document_that_is_too_large(wiki: None, tmp_path: Path) -> None:
    with closing(opened(limits=Limits(max_bytes=3))) as reader, pytest.raises(FetchFailed) as caught:
        reader.fetch(Entry("team/Plan.html", identity="1"), tmp_path, None)
    assert (caught.value.code, list(tmp_path.iterdir())) == ("too_large", [])


def test_the_librarys_own_connector_for_folders(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    (root / "x").mkdir(parents=True)
    out.mkdir()
    (root / "a.md").write_text("alpha")
    (root / "x/b.md").write_text("beta")
    options = {"index": {"input_path": str(root), "recursive": True}}
    with closing(open_source("connector", "local://files", options, exclude=["a.md"])) as reader:
        (entry,) = reader.entries()
        fetched = reader.fetch(entry, out, None)
        assert fetched is not None
        assert (entry.key, fetched.path.read_text(), fetched.temporary) == ("x/b.md", "beta", True)
    assert (root / "x/b.md").read_text() == "beta"


@pytest.mark.parametrize("service", [name for name in plan.SERVICES if name != "local"])
def test_every_service_is_one_that_the_library_has(service: str) -> None:
    entry = plan.source_entry(service.replace("-", "_"))
    assert entry.connection_config is not None
    assert entry.indexer_config is not None
    with pytest.raises(InvalidInput):
        plan.check_source("connector", f"{service}://x", {"connection": {"no_such_setting": 1}})


def test_a_limit_that_would_cut_a_listing_short_is_lifted() -> None:
    """Confluence's indexer takes 100 pages of a space unless it is told otherwise."""
    fields = plan.source_entry("confluence").indexer_config.model_fields
    assert {name for name in fields if name.startswith("max_num_of")} == {
        "max_num_of_spaces",
        "max_num_of_docs_from_each_space",
    }
    model = plan.source_entry("confluence").indexer_config.model_validate(index_settings(ConnectorPlan("confluence")))
    assert (model.max_num_of_spaces, model.max_num_of_docs_from_each_space) == (10**6, 10**6)
    assert index_settings(ConnectorPlan("confluence", index={"max_num_of_spaces": 2}))["max_num_of_spaces"] == 2
    assert index_settings(ConnectorPlan("jira", index={"projects": ["A"]})) == {"projects": ["A"]}
