"""Sitemaps, as files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ingest.sources import sitemap
from ingest.sources.sitemap import Listed, SitemapBroken, read_sitemap

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
PAGES = (
    f"<?xml version='1.0'?><urlset {NAMESPACE}><url><loc> http://h/a </loc><lastmod>2026-01-02</lastmod></url>"
    "<url><loc>http://h/b&amp;c</loc></url><url><loc/></url></urlset>"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sitemap"


@pytest.mark.parametrize("packed", [False, True])
def test_pages(file: Path, packed: bool) -> None:
    file.write_bytes(gzip.compress(PAGES.encode()) if packed else PAGES.encode())
    assert list(read_sitemap(file)) == [
        Listed("http://h/a", "2026-01-02", is_sitemap=False),
        Listed("http://h/b&c", None, is_sitemap=False),
    ]


def test_an_index(file: Path) -> None:
    file.write_text(f"<sitemapindex {NAMESPACE}><sitemap><loc>http://h/s.xml.gz</loc></sitemap></sitemapindex>")
    assert list(read_sitemap(file)) == [Listed("http://h/s.xml.gz", None, is_sitemap=True)]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"<html><body>Not found</body></html>", "no sitemap: its root is <html>"),
        (PAGES.encode()[:-20], "not whole XML"),
        (b"", "not whole XML"),
        (gzip.compress(PAGES.encode())[:-30], "not a whole gzip file"),
    ],
)
def test_what_is_no_whole_sitemap(file: Path, content: bytes, detail: str) -> None:
    file.write_bytes(content)
    with pytest.raises(SitemapBroken) as caught:
        list(read_sitemap(file))
    assert detail in caught.value.detail


def test_a_bomb_of_gzip_is_stopped_at_the_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MAX_BYTES", 100_000)
    body = f"<urlset {NAMESPACE}>" + "<url><loc>http://h/a</loc></url>" * 100_000
    file.write_bytes(gzip.compress(body.encode()))
    with pytest.raises(SitemapBroken, match="larger than") as caught:
        list(read_sitemap(file))
    assert "most that a sitemap may be" in caught.value.detail


def test_entities_are_not_expanded(file: Path) -> None:
    (file.parent / "secret").write_text("secret")
    file.write_text(
        f'<!DOCTYPE urlset [<!ENTITY e "{"x" * 100}"><!ENTITY f SYSTEM "secret">]>'
        f"<urlset {NAMESPACE}><url><loc>http://h/&e;&f;</loc></url></urlset>"
    )
    assert [line.url for line in read_sitemap(file)] == ["http://h/"]
