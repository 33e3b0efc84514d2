"""A folder of files as documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InvalidInput
from ingest.directory import walk
from ingest.document import Attributes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in (
        "b.md",
        "a/x.txt",
        "a/y.md",
        ".git/config",
        "a/.hidden",
        "__pycache__/c.pyc",
        "node_modules/m.js",
        "drafts/d.md",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def names(root: Path, *include: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [item.external_id for item in walk(root, include, exclude)]


def test_files_in_order_without_the_hidden(folder: Path) -> None:
    assert names(folder) == ["a/x.txt", "a/y.md", "b.md", "drafts/d.md"]
    item = next(iter(walk(folder, attributes=Attributes(allowed_groups=["hr"]))))
    assert (item.path, item.filename, item.attributes.allowed_groups) == (folder / "a/x.txt", "x.txt", ["hr"])


def test_patterns(folder: Path) -> None:
    assert names(folder, "*.md") == ["a/y.md", "b.md", "drafts/d.md"]
    assert names(folder, "*.md", exclude=("drafts/*",)) == ["a/y.md", "b.md"]
    assert names(folder, exclude=("*",)) == []


def test_one_file(folder: Path) -> None:
    assert names(folder / "a" / "x.txt") == ["x.txt"]


def test_links_that_lead_out_are_left_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "in.txt").symlink_to(folder / "b.md")
    (folder / "broken.txt").symlink_to(folder / "none")
    assert names(folder) == ["a/x.txt", "a/y.md", "b.md", "drafts/d.md", "in.txt"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        names(tmp_path / "none")
    assert caught.value.code == "no_such_path"
