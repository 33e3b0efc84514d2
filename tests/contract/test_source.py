"""What every reader of a source does: list each key once, tell a change, keep an identity, fetch exact bytes, fail aloud."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pytest
from git_repository import new_repository
from object_store import ObjectStore
from web_site import Site, SitePage

from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed, SourceReader
from ingest.sources.open import open_source

FILES = {
    "a.html": b"<html>alpha</html>",
    "docs/b.html": b"<html>beta \xff\x00</html>",
    "docs/deep/c.html": b"<html>" + b"c" * 200_000,
}


@dataclass(slots=True)
class Place:
    """Where a source lies in a test. ``put`` makes it hold exactly some files; ``ruin`` makes it unreadable as a whole.

    ``prefix`` stands before a name in a key; ``marks`` and ``moves`` say whether the source tells changes and moves.
    """

    kind: str
    uri: str
    put: Callable[[Mapping[str, bytes]], None]
    ruin: Callable[[], None]
    options: dict[str, Any] = field(default_factory=dict)
    prefix: str = ""
    marks: bool = True
    moves: bool = False
    move: Callable[[str, str], None] | None = None
    scratch: Path | None = None
    readers: list[SourceReader] = field(default_factory=list)

    def open(self, **more: Any) -> SourceReader:
        allowed = {"allow_addresses": ["127.0.0.1"], "scratch": self.scratch, **more}
        self.readers.append(open_source(self.kind, self.uri, self.options, **allowed))
        return self.readers[-1]

    def listed(self, **more: Any) -> dict[str, Entry]:
        entries = list(self.open(**more).entries())
        assert len({entry.key for entry in entries}) == len(entries)
        return {entry.key.removeprefix(self.prefix): entry for entry in entries}


def write_tree(root: Path, files: Mapping[str, bytes]) -> None:
    """Make ``root`` hold exactly ``files``, touching only what differs."""
    for path in [path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts]:
        if path.relative_to(root).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def folder(kind: str, root: Path) -> Place:
    root.mkdir()
    uri, options = str(root), {}
    if kind == "connector":
        pytest.importorskip("unstructured_ingest")
        uri, options = "local://files", {"index": {"input_path": str(root), "recursive": True}}
    return Place(
        kind,
        uri,
        lambda files: write_tree(root, files),
        lambda: shutil.rmtree(root),
        options,
        moves=kind == "directory",
        move=lambda old, new: (root / old).rename(root / new) and None,
    )


def repository(root: Path) -> Place:
    made = new_repository(root)

    def put(files: Mapping[str, bytes]) -> None:
        write_tree(root, files)
        made.commit()

    def move(old: str, new: str) -> None:
        (root / old).rename(root / new)
        made.commit()

    return Place("git", str(root), put, lambda: shutil.rmtree(root), moves=True, move=move)


def memory(root: Path) -> Place:
    store = fsspec.filesystem("memory")

    def put(files: Mapping[str, bytes]) -> None:
        held = store.find("/contract") if store.exists("/contract") else []
        for path in held:
            if path.removeprefix("/contract/") not in files:
                store.rm(path)
        for name, content in files.items():
            if not store.exists(f"/contract/{name}") or store.cat(f"/contract/{name}") != content:
                store.pipe(f"/contract/{name}", content)

    return Place("fsspec", "memory://contract", put, lambda: store.rm("/contract", recursive=True))


def archive(root: Path) -> Place:
    path = root.with_suffix(".zip")

    def put(files: Mapping[str, bytes]) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(zipfile.ZipInfo(name), content)
        path.write_bytes(packed.getvalue())

    return Place("fsspec", f"zip::file://{path}", put, lambda: path.write_bytes(path.read_bytes()[:40]) and None)


def objects(store: ObjectStore) -> Place:
    def put(files: Mapping[str, bytes]) -> None:
        store.objects = {f"root/{name}": content for name, content in files.items()}

    def ruin() -> None:
        store.broken_from = 0

    options = {"endpoint": store.url, "region": "us-east-1", "anonymous": True}
    return Place("fsspec", "s3://docs/root", put, ruin, options)


def pages(kind: str, site: Site) -> Place:
    start = "/sitemap.xml" if kind == "sitemap" else "/index.html"

    def put(files: Mapping[str, bytes]) -> None:
        site.pages.clear()
        for name, content in files.items():
            tag = f'"{hash(content)}"'
            site.pages[f"/{name}"] = SitePage(content, headers={"ETag": tag})
        if kind == "sitemap":
            lines = "".join(f"<url><loc>{site.url}/{name}</loc></url>" for name in files)
            site.add(start, f"<urlset>{lines}</urlset>", "application/xml")
        else:
            site.add(start, "".join(f'<a href="/{name}">x</a>' for name in files))

    def ruin() -> None:
        site.pages[start] = SitePage(status=500)

    options = {"mode": kind}
    return Place("web", site.url + start, put, ruin, options, prefix=f"{site.url}/", marks=kind == "crawl")


@pytest.fixture(params=["directory", "connector", "git", "memory", "zip", "objects", "sitemap", "crawl"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    match request.param:
        case "directory" | "connector" as kind:
            made = folder(kind, tmp_path / "root")
        case "git":
            made = repository(tmp_path / "root")
        case "memory":
            made = memory(tmp_path)
        case "zip":
            made = archive(tmp_path / "root")
        case "objects":
            made = objects(request.getfixturevalue("object_store"))
        case kind:
            made = pages(kind, request.getfixturevalue("site"))
    made.scratch = tmp_path / "scratch"
    made.scratch.mkdir()
    made.put(FILES)
    yield made
    for reader in made.readers:
        reader.close()
    assert list(made.scratch.iterdir()) == []
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def brought(reader: SourceReader, entry: Entry, out: Path, validator: str | None = None) -> Fetched:
    fetched = reader.fetch(entry, out, validator)
    assert fetched is not None
    assert fetched.temporary == (fetched.path.parent == out)
    return fetched


def without_start(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The files; a crawl's first page, which only links to them, is none of them."""
    return {key: entry for key, entry in entries.items() if key != "index.html"}


def test_every_key_is_listed_once_and_an_unchanged_source_looks_the_same(place: Place) -> None:
    first, second = without_start(place.listed()), without_start(place.listed())
    assert sorted(first) == sorted(FILES)
    assert {key: (entry.mark, entry.identity) for key, entry in first.items()} == {
        key: (entry.mark, entry.identity) for key, entry in second.items()
    }
    assert all((entry.mark is not None) == place.marks for entry in first.values())
    assert all(len(entry.mark or "") <= 200 and len(entry.identity or "") <= 200 for entry in first.values())
    assert {entry.filename for entry in first.values()} == {"a.html", "b.html", "c.html"}


def test_a_changed_file_has_another_mark_and_no_other_has(place: Place) -> None:
    before = place.listed()
    place.put({**FILES, "docs/b.html": FILES["docs/b.html"].swapcase()})  # of the same size
    after = place.listed()
    changed = {key for key in FILES if before[key].mark != after[key].mark}
    assert changed == ({"docs/b.html"} if place.marks else set())


def test_bytes_are_exact(place: Place, out: Path) -> None:
    reader = place.open()
    entries = {entry.key.removeprefix(place.prefix): entry for entry in reader.entries()}
    for name, content in FILES.items():
        assert brought(reader, entries[name], out).path.read_bytes() == content


def test_an_entry_can_be_fetched_without_listing_again(place: Place, out: Path) -> None:
    """A job that was taken over has only what the listing said."""
    entry = place.listed()["docs/b.html"]
    known = Entry(entry.key, entry.mark, entry.identity)
    assert brought(place.open(), known, out).path.read_bytes() == FILES["docs/b.html"]


def test_what_did_not_change_since_its_validator_is_not_brought(place: Place, out: Path) -> None:
    entry = place.listed()["a.html"]
    validator = brought(place.open(), entry, out).validator
    if validator is None:
        assert place.marks  # then it is the mark that tells
        return
    assert len(validator) <= 500
    assert place.open().fetch(entry, out, validator) is None
    place.put({**FILES, "a.html": b"<html>new</html>"})
    assert brought(place.open(), entry, out, validator).path.read_bytes() == b"<html>new</html>"


def test_an_identity_survives_a_move(place: Place) -> None:
    before = place.listed()
    assert (
        all((entry.identity is not None) == place.moves for entry in without_start(before).values())
        or place.kind == "connector"
    )
    if place.moves and place.move is not None:
        place.move("docs/b.html", "docs/deep/moved.html")
        after = place.listed()
        assert after["docs/deep/moved.html"].identity == before["docs/b.html"].identity
        assert after["docs/deep/moved.html"].mark == before["docs/b.html"].mark
        assert len({entry.identity for entry in after.values()}) == 3


def test_patterns(place: Place) -> None:
    found = place.listed(include=[f"{place.prefix}docs"], exclude=["*/deep/**"])
    assert sorted(found) == ["docs/b.html"]


def test_a_source_that_cannot_be_read_fails_its_listing(place: Place) -> None:
    place.ruin()
    with pytest.raises(ListingFailed) as caught:
        place.listed()
    assert caught.value.detail.endswith(".")


def test_an_entry_that_vanished_after_it_was_listed_is_gone(place: Place, out: Path) -> None:
    entry = place.listed()["docs/b.html"]
    if place.kind == "git":  # its history keeps every blob: only another repository in its place lacks one
        place.ruin()
        new_repository(Path(place.uri))
    place.put({name: content for name, content in FILES.items() if name != "docs/b.html"})
    with pytest.raises(FetchFailed) as caught:
        place.open().fetch(entry, out, None)
    assert (caught.value.gone, caught.value.transient) == (True, False)
    assert list(out.iterdir()) == []


def test_a_reader_can_be_closed_twice_and_before_it_was_used(place: Place) -> None:
    reader = place.open()
    reader.close()
    reader.close()
