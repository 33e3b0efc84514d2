"""Addresses of git repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InvalidInput
from ingest.sources.git_url import check_folder, check_ref, parse_git_url


@pytest.mark.parametrize(
    ("text", "protocol", "host", "port"),
    [
        ("https://github.com/a/b.git", "https", "github.com", 443),
        ("http://git.corp:8080/a", "http", "git.corp", 8080),
        ("ssh://git@git.corp:2222/a/b", "ssh", "git.corp", 2222),
        ("git@Github.com:a/b.git", "ssh", "github.com", 22),
        ("/srv/git/a b", "file", "", 0),
    ],
)
def test_taken_apart(text: str, protocol: str, host: str, port: int) -> None:
    if " " in text:
        text = text.replace(" ", "-")
    url = parse_git_url(text)
    assert (url.protocol, url.host, url.port) == (protocol, host, port)


def test_a_path_of_this_machine_is_told() -> None:
    assert parse_git_url("/srv/git/a").local == Path("/srv/git/a")
    assert parse_git_url("file:///srv/git/a%20b").local == Path("/srv/git/a b")
    assert parse_git_url("https://h/a").local is None


@pytest.mark.parametrize(
    "text",
    [
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "https::http://h/x",
        "--upload-pack=touch /tmp/x",
        "-oProxyCommand=x",
        "ssh://-oProxyCommand=x/a",
        "git@-oProxyCommand=x:a",
        "git@host:-x",
        "git://host/x",
        "ftp://host/x",
        "https://user:hunter2@host/x",
        "https://token@host/x",
        "ssh://git:hunter2@host/x",
        "https://host",
        "https://host/x?y=1",
        "https://host:99999/x",
        "file://host/x",
        "relative/path",
        "https://host/a\nb",
        "",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_git_url(text)
    assert caught.value.code == "invalid_source_uri"
    assert "hunter2" not in caught.value.detail


def test_pages_of_known_hosts() -> None:
    assert parse_git_url("git@github.com:a/b.git").page("c1", "x y.md") == "https://github.com/a/b/blob/c1/x%20y.md"
    assert parse_git_url("https://gitlab.com/g/a/b").page("c1", "x.md") == "https://gitlab.com/g/a/b/-/blob/c1/x.md"
    assert parse_git_url("https://git.corp/a/b").page("c1", "x.md") is None


@pytest.mark.parametrize("ref", ["-x", "a..b", "a b", "a:b", "a@{1}", "x.lock", "", "a/", "refs^"])
def test_refs_that_are_refused(ref: str) -> None:
    with pytest.raises(InvalidInput):
        check_ref(ref)


def test_refs_and_folders_that_are_taken() -> None:
    assert check_ref("feature/x-1.2") == "feature/x-1.2"
    assert check_folder("/docs/en/") == "docs/en"
    for folder in ("", "/", "..", "docs/../x", "a//b", "./x"):
        with pytest.raises(InvalidInput):
            check_folder(folder)
