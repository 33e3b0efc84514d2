"""A folder as a source."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ingest.sources import directory
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import Entry, FetchFailed, ListingFailed
from ingest.sources.patterns import ALL, Patterns


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("b.md", "a/x.txt", "a/deep/y.md", ".git/config", "a/.hidden", "node_modules/m.js", "drafts/d.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def keys(root: Path, patterns: Patterns = ALL) -> list[str]:
    return sorted(entry.key for entry in DirectoryReader(root, patterns).entries())


def test_entries(root: Path) -> None:
    assert keys(root) == ["a/deep/y.md", "a/x.txt", "b.md", "drafts/d.md"]
    assert keys(root, Patterns(("**/*.md",), ("drafts",))) == ["a/deep/y.md", "b.md"]
    entry = next(entry for entry in DirectoryReader(root).entries() if entry.key == "a/deep/y.md")
    status = (root / "a/deep/y.md").stat()
    assert entry == Entry(
        "a/deep/y.md",
        f"11:{status.st_mtime_ns}:{status.st_ino}",
        f"{status.st_dev}:{status.st_ino}:11:{status.st_mtime_ns}",
        filename="y.md",
    )


def test_an_excluded_folder_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(directory.os, "scandir", lambda path: opened.append(Path(path).name) or scan(path))
    keys(root, Patterns(exclude=("a",)))
    assert sorted(opened) == ["drafts", "root"]


def test_a_single_file(root: Path) -> None:
    reader = DirectoryReader(root / "a/x.txt")
    (entry,) = reader.entries()
    assert (entry.key, entry.filename) == ("x.txt", "x.txt")
    fetched = reader.fetch(entry, root, None)
    assert fetched is not None
    assert (fetched.path.read_text(), fetched.temporary) == ("a/x.txt", False)


def test_links(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "in.txt").symlink_to(root / "b.md")
    (root / "broken.txt").symlink_to(root / "none")
    (root / "loop").symlink_to(root)
    assert keys(root) == ["a/deep/y.md", "a/x.txt", "b.md", "drafts/d.md", "in.txt"]
    with pytest.raises(FetchFailed) as caught:
        DirectoryReader(root).fetch(Entry("out.txt"), tmp_path, None)
    assert caught.value.gone


def test_a_key_cannot_climb_out(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(FetchFailed):
        DirectoryReader(root).fetch(Entry("../secret.txt"), tmp_path, None)


def test_a_linked_root_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    reader = DirectoryReader(tmp_path / "link")
    entry = next(entry for entry in reader.entries() if entry.key == "b.md")
    fetched = reader.fetch(entry, tmp_path, None)
    assert fetched is not None
    assert fetched.path.read_text() == "b.md"


def test_a_folder_that_cannot_be_read_fails_the_listing_but_not_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(directory.os, "scandir", refuse)
    found = []
    with pytest.raises(ListingFailed, match=r"could not be read: a \(Permission denied\)"):
        found.extend(entry.key for entry in DirectoryReader(root).entries())
    listing = DirectoryReader(root).entries()
    found = [next(listing).key for _ in range(2)]
    assert sorted(found) == ["b.md", "drafts/d.md"]


def test_a_folder_that_vanishes_meanwhile_is_no_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def gone(path: Any) -> Any:
        if Path(path).name == "a":
            raise FileNotFoundError(2, "No such file or directory")
        return scan(path)

    monkeypatch.setattr(directory.os, "scandir", gone)
    assert keys(root) == ["b.md", "drafts/d.md"]


def test_no_root(tmp_path: Path) -> None:
    with pytest.raises(ListingFailed, match="does not exist"):
        keys(tmp_path / "none")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"un")
    (tmp_path / "plain\\xe9.txt").write_text("deux")
    reader = DirectoryReader(tmp_path)
    found = {entry.key: reader.fetch(entry, tmp_path, None) for entry in reader.entries()}
    assert {key: fetched.path.read_bytes() for key, fetched in found.items() if fetched} == {
        "caf\\xe9.txt": b"un",
        "plain\\xe9.txt": b"deux",
    }
    for key in found:
        key.encode()


def test_memory_does_not_grow_with_the_folder(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.md").touch()
        tracemalloc.start()
        total = sum(1 for _ in DirectoryReader(folder).entries())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == count
        return most

    peak(10)
    assert peak(5000) < peak(500) + 100_000
