"""Stores that fsspec reads: memory, archives, this machine, an archive on the web, GitHub's API."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pytest
from web_site import Site

from infra.errors import InvalidInput
from ingest.sources.copying import Limits, told
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import Entry, FetchFailed, ListingFailed
from ingest.sources.filesystem import FilesystemReader, mark_of
from ingest.sources.open import open_source
from ingest.sources.store_url import parse_store_url


@pytest.fixture
def memory() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("a.md", "docs/b.md", "docs/deep/c.md", ".git/d.md", "../../evil.md"):
            packed.writestr(name, f"text of {name}")
        packed.writestr("docs/zeros.bin", b"\0" * 50_000_000)
    return path


def contents(uri: str, out: Path, **more: Any) -> dict[str, bytes]:
    found = {}
    with closing(open_source("fsspec", uri, **more)) as reader:
        for entry in list(reader.entries()):
            fetched = reader.fetch(entry, out, None)
            assert fetched is not None
            found[entry.key] = fetched.path.read_bytes()
    return found


def test_memory(memory: Any, tmp_path: Path) -> None:
    for name in ("/r/a.md", "/r/x/b.md", "/r/.h/c.md", "/r/x/y/d.txt"):
        memory.pipe(name, name.encode())
    assert contents("memory://r", tmp_path) == {
        "a.md": b"/r/a.md",
        "x/b.md": b"/r/x/b.md",
        "x/y/d.txt": b"/r/x/y/d.txt",
    }
    assert contents("memory://r/x", tmp_path, include=["*.txt"]) == {"y/d.txt": b"/r/x/y/d.txt"}
    assert contents("memory://r", tmp_path, exclude=["x/y"]) == {"a.md": b"/r/a.md", "x/b.md": b"/r/x/b.md"}
    assert contents("memory://r/a.md", tmp_path) == {"a.md": b"/r/a.md"}


def test_an_archive(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert contents(f"zip://::file://{archive}", out, exclude=["*.bin"]) == {
        "a.md": b"text of a.md",
        "docs/b.md": b"text of docs/b.md",
        "docs/deep/c.md": b"text of docs/deep/c.md",
    }
    assert contents(f"zip://docs::{archive}", out, include=["deep"]) == {"deep/c.md": b"text of docs/deep/c.md"}
    assert list(tmp_path.rglob("*evil*")) == []


def test_a_bomb_in_an_archive(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert archive.stat().st_size < 100_000
    with (
        closing(open_source("fsspec", f"zip::file://{archive}", limits=Limits(max_bytes=1_000_000))) as reader,
        pytest.raises(FetchFailed) as caught,
    ):
        reader.fetch(Entry("docs/zeros.bin"), out, None)
    assert (caught.value.code, list(out.iterdir())) == ("too_large", [])


def test_a_tar(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name in ("docs/a.md", "docs/x/b.md"):
            about = tarfile.TarInfo(name)
            about.size = 5
            packed.addfile(about, io.BytesIO(b"hello"))
        link = tarfile.TarInfo("docs/link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    found = contents(f"tar://docs::file://{path}", tmp_path, exclude=["link.md"])
    assert found == {"a.md": b"hello", "x/b.md": b"hello"}
    with closing(open_source("fsspec", f"tar://docs::file://{path}")) as reader, pytest.raises(FetchFailed):
        reader.fetch(Entry("link.md"), tmp_path, None)


def test_an_archive_on_the_web(site: Site, archive: Path, tmp_path: Path) -> None:
    site.add("/x.zip", archive.read_bytes(), "application/zip")
    uri, allowed = f"zip://docs::{site.url}/x.zip", {"allow_addresses": ["127.0.0.1"], "include": ["*.md"]}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = contents(uri, tmp_path, scratch=scratch, **allowed)
    assert found == {"b.md": b"text of docs/b.md", "deep/c.md": b"text of docs/deep/c.md"}
    assert (site.paths(), list(scratch.iterdir())) == (["/x.zip"], [])
    site.pages.clear()
    with closing(open_source("fsspec", uri, **allowed)) as reader:
        with pytest.raises(ListingFailed, match="answered 404"):
            list(reader.entries())
        with pytest.raises(FetchFailed) as caught:
            reader.fetch(Entry("b.md"), tmp_path, None)
    assert not caught.value.gone  # the archive is gone, which says nothing of the document
    with pytest.raises(InvalidInput):
        open_source("fsspec", uri)
    with (
        closing(
            open_source("fsspec", f"zip://docs::http://name.test:{site.port}/x.zip", resolve=lambda h, p: ["127.0.0.1"])
        ) as reader,
        pytest.raises(ListingFailed, match="no public address"),
    ):
        list(reader.entries())


def test_files_of_this_machine_are_read_as_a_folder(tmp_path: Path) -> None:
    assert isinstance(open_source("fsspec", f"file://{tmp_path}"), DirectoryReader)
    assert isinstance(open_source("fsspec", str(tmp_path)), DirectoryReader)


def test_nothing_there(memory: Any, tmp_path: Path) -> None:
    for uri in ("memory://none", f"zip::file://{tmp_path}/none.zip", f"tar://x::file://{tmp_path}/none.tar"):
        with closing(open_source("fsspec", uri)) as reader, pytest.raises(ListingFailed):
            list(reader.entries())
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no archive")
    with (
        closing(open_source("fsspec", f"zip::file://{tmp_path}/broken.zip")) as reader,
        pytest.raises(ListingFailed, match="BadZipFile"),
    ):
        list(reader.entries())


class Failing:
    """A store whose second folder cannot be listed."""

    def __init__(self, error: Exception, where: str = "root/b") -> None:
        self.error, self.where = error, where

    def invalidate_cache(self, path: str | None = None) -> None:
        pass

    def info(self, path: str) -> dict[str, Any]:
        return {"name": path, "type": "directory"}

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        if path == self.where:
            raise self.error
        rows = [("root/a.md", "file"), ("root/b", "directory")]
        return [{"name": name, "type": kind, "size": 1, "etag": "e"} for name, kind in rows]


@pytest.mark.parametrize(
    ("error", "fails"),
    [
        (PermissionError("no"), True),
        (OSError("reset"), True),
        (RuntimeError("odd"), True),
        (FileNotFoundError("gone"), False),
    ],
)
def test_a_folder_that_cannot_be_listed(error: Exception, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (Failing(error), "root"))
    reader = FilesystemReader(parse_store_url("memory://root"), {})
    found = []
    try:
        for entry in reader.entries():
            found.append((entry.key, entry.mark))  # noqa: PERF401 - kept when the listing fails
        failed = False
    except ListingFailed:
        failed = True
    assert (found, failed) == ([("a.md", "etag:e:1")], fails)


def test_a_root_that_vanishes_while_it_is_listed_is_no_empty_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(FileNotFoundError("gone"), "root")
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (failing, "root"))
    with pytest.raises(ListingFailed, match="nothing at"):
        list(FilesystemReader(parse_store_url("memory://root"), {}).entries())


def test_marks() -> None:
    assert mark_of({"size": 3, "ETag": "x", "mtime": 5}) == "ETag:x:3"
    assert mark_of({"size": 3, "mtime": 5.5}) == "mtime:5.5:3"
    assert mark_of({"size": 3, "sha": "abc"}) == "sha:abc:3"
    assert mark_of({"size": 3}) is None
    assert mark_of({"size": 3, "CRC": 0}) == "CRC:0:3"


def test_a_failure_is_told_without_its_secrets() -> None:
    error = OSError("GET https://key:pass@h.test/x?sig=s3cret failed\nand more")
    assert told("memory://x", error) == "memory://x could not be read: OSError: GET https://h.test/x failed."


def test_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver that fsspec has for GitHub, against answers in the form of GitHub's API."""
    import requests

    trees = {
        "main": [
            {"path": "a.md", "mode": "100644", "type": "blob", "size": 5, "sha": "s1"},
            {"path": "d", "mode": "040000", "type": "tree", "sha": "t1"},
        ],
        "t1": [{"path": "b.md", "mode": "100644", "type": "blob", "size": 5, "sha": "s2"}],
    }

    class Answer:
        status_code = 200

        def __init__(self, body: Any) -> None:
            self.body = body

        def raise_for_status(self) -> None:
            pass

        def json(self) -> Any:
            return self.body

    def get(url: str, **more: Any) -> Answer:
        assert url.startswith("https://api.github.com/repos/org/repo")
        if "/git/trees/" in url:
            return Answer({"tree": trees[url.rpartition("/")[2]]})
        return Answer({"content": "aGVsbG8=", "encoding": "base64", "size": 5})

    monkeypatch.setattr(requests, "get", get)
    with closing(open_source("fsspec", "github://org:repo@main/")) as reader:
        entries = {entry.key: entry.mark for entry in reader.entries()}
        fetched = reader.fetch(Entry("d/b.md"), tmp_path, None)
    assert entries == {"a.md": "sha:s1:5", "d/b.md": "sha:s2:5"}
    assert fetched is not None
    assert fetched.path.read_bytes() == b"hello"
