"""Objects of a store that speaks S3, through obstore."""

from __future__ import annotations

import io
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from object_store import ObjectStore

from ingest.sources.copying import Limits
from ingest.sources.entry import Entry, FetchFailed, ListingFailed, SourceReader
from ingest.sources.open import open_source


def opened(store: ObjectStore, uri: str, **more: Any) -> SourceReader:
    options = {"endpoint": store.url, "region": "us-east-1", "anonymous": True}
    return open_source("fsspec", uri, options, allow_addresses=["127.0.0.1"], **more)


def keys(store: ObjectStore, uri: str, **more: Any) -> list[str]:
    with closing(opened(store, uri, **more)) as reader:
        return sorted(entry.key for entry in reader.entries())


def test_objects_below_a_path(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.objects = {
        "a/b c/ü.md": "grüß".encode(),
        "a/x.md": b"x",
        "ab/y.md": b"y",
        "a/.hidden/z.md": b"z",
        "folder/": b"",
        "top.txt": b"top",
    }
    assert keys(object_store, "s3://docs") == ["a/b c/ü.md", "a/x.md", "ab/y.md", "top.txt"]
    assert keys(object_store, "s3://docs/a/", exclude=["b c"]) == ["x.md"]
    with closing(opened(object_store, "s3://docs/a")) as reader:
        entries = {entry.key: entry for entry in reader.entries()}
        assert sorted(entries) == ["b c/ü.md", "x.md"]
        assert entries["x.md"] == Entry("x.md", '"9dd4e461268c8034f5c8564e155c67a6":1', filename="x.md")
        fetched = reader.fetch(entries["b c/ü.md"], tmp_path, None)
        assert fetched is not None
        assert fetched.path.read_bytes() == "grüß".encode()
        assert reader.fetch(entries["b c/ü.md"], tmp_path, fetched.validator) is None
        object_store.objects["a/b c/ü.md"] = b"new"
        assert reader.fetch(entries["b c/ü.md"], tmp_path, fetched.validator) is not None


def test_one_object(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.objects = {"a/x.md": b"x"}
    with closing(opened(object_store, "s3://docs/a/x.md")) as reader:
        (entry,) = reader.entries()
        fetched = reader.fetch(entry, tmp_path, None)
    assert fetched is not None
    assert (entry.key, fetched.path.read_bytes()) == ("x.md", b"x")


def test_a_large_bucket_is_listed_a_thousand_at_a_time(object_store: ObjectStore) -> None:
    object_store.objects = {f"many/{number}.md": b"x" for number in range(2500)}
    with closing(opened(object_store, "s3://docs/many")) as reader:
        found = [entry.key for entry in reader.entries()]
    assert (len(found), len(set(found)), len(object_store.asked)) == (2500, 2500, 3)


def test_a_listing_that_breaks_off_is_no_listing(object_store: ObjectStore) -> None:
    object_store.objects = {f"many/{number}.md": b"x" for number in range(2500)}
    object_store.broken_from = 3
    with closing(opened(object_store, "s3://docs/many")) as reader:
        entries = reader.entries()
        found = {next(entries).key for _ in range(1000)}
        with pytest.raises(ListingFailed, match="could not be read"):
            list(entries)
    assert len(found) == 1000


def test_nothing_there(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.objects = {"a/x.md": b"x"}
    for uri in ("s3://docs/none", "s3://other", "s3://docs/a/x"):
        with pytest.raises(ListingFailed):
            keys(object_store, uri)
    with closing(opened(object_store, "s3://docs/a")) as reader, pytest.raises(FetchFailed) as caught:
        reader.fetch(Entry("none.md"), tmp_path, None)
    assert caught.value.gone
    object_store.objects = {}
    with pytest.raises(ListingFailed):
        keys(object_store, "s3://docs")


def test_limits(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.objects = {"x.bin": b"x" * 5_000_000}
    with (
        closing(opened(object_store, "s3://docs", limits=Limits(max_bytes=3_000_000))) as reader,
        pytest.raises(FetchFailed) as caught,
    ):
        reader.fetch(Entry("x.bin"), tmp_path, None)
    assert caught.value.code == "too_large"
    assert list(tmp_path.iterdir()) == []


def test_an_archive_in_a_store(object_store: ObjectStore, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("docs/a.md", "alpha")
    object_store.objects = {"x.zip": packed.getvalue()}
    with closing(opened(object_store, "zip://docs::s3://docs/x.zip")) as reader:
        (entry,) = reader.entries()
        fetched = reader.fetch(entry, tmp_path, None)
    assert fetched is not None
    assert (entry.key, fetched.path.read_bytes()) == ("a.md", b"alpha")
