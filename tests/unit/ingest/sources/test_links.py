"""The links of a page, and the one way in which an address is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.sources.links import canonical, links


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("HTTP://Example.COM:80/a/../b?q=1#part", "http://example.com/b?q=1"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com?a=1", "https://example.com/?a=1"),
        ("https://example.com.:443/ü?x=ä", "https://example.com/%C3%BC?x=%C3%A4"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("  http://h/x  ", "http://h/x"),
        ("http://h:8080/%7Ea", "http://h:8080/%7Ea"),
        ("http://[::1]/x", "http://[::1]/x"),
        ("javascript:alert(1)", None),
        ("mailto:a@b", None),
        ("ftp://h/x", None),
        ("/x", None),
        ("http://user:secret@h/", None),
        ("http://user@h/", None),
        ("http://[broken/", None),
        ("http://h/" + "x" * 1024, None),
        ("", None),
    ],
)
def test_canonical(given: str, written: str | None) -> None:
    assert canonical(given) == written


def test_links_are_resolved_and_each_is_named_once(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text(
        "<html><base href='/docs/'><a href='a.html#1'>a</a> <a href='a.html'>again</a> <a href='?p=2'>p</a>"
        "<a href='https://other.test/x'>x</a><area href='../b'><a rel='external NOFOLLOW' href='no'>no</a>"
        "<a href='mailto:x@y'>m</a><a name='none'>n</a><iframe src='frame'></iframe><a href='é'>"
    )
    assert list(links(page, "http://h/start/", "utf-8")) == [
        "http://h/docs/a.html",
        "http://h/docs/?p=2",
        "https://other.test/x",
        "http://h/b",
        "http://h/docs/frame",
        "http://h/docs/%C3%A9",
    ]


def test_what_is_hardly_html(tmp_path: Path) -> None:
    page = tmp_path / "page"
    for content in (b"", b"\x00\xff\xfe", b"<a href='x", b"<" * 10_000):
        page.write_bytes(content)
        assert list(links(page, "http://h/", "no-such-encoding")) == []
