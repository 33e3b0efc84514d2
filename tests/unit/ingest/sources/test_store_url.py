"""URLs of stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InvalidInput
from ingest.sources import store_url
from ingest.sources.store_url import check_driver, parse_store_url, store_options


def test_a_url_taken_apart() -> None:
    url = parse_store_url("S3://bucket/a b/ü")
    assert (url.protocol, url.place, url.archive, url.store, url.extra, url.path) == (
        "s3",
        "bucket/a b/ü",
        None,
        "s3",
        "s3",
        None,
    )
    chained = parse_store_url("zip://docs::gs://bucket/x.zip")
    assert (chained.archive, chained.member, chained.chain) == ("zip", "docs", "zip://docs::gs://bucket/x.zip")
    assert parse_store_url("tar::file:///x/y.tar.gz").chain == "tar://::file:///x/y.tar.gz"


@pytest.mark.parametrize(
    "text", ["/data/x", "file:///data/x", "local:///data/x", "file:///data/%78", "zip://a::/data/x"]
)
def test_a_path_of_this_machine_is_told(text: str) -> None:
    assert parse_store_url(text).path == Path("/data/x")


def test_the_host_that_a_driver_would_look_up_is_told() -> None:
    assert parse_store_url("sftp://me@files.corp:2222/x").host == "files.corp"
    assert parse_store_url("zip::ftp://files.corp/x.zip").host == "files.corp"
    assert parse_store_url("s3://bucket/x").host is None


@pytest.mark.parametrize(
    "text",
    [
        "sftp://me:secret@files.corp/x",
        "s3://key:secret@bucket/x",
        "https://user:secret@h/x",
        "git://h/x",
        "hdfs://h/x",
        "simplecache::s3://bucket/x",
        "zip://a::tar://b::s3://bucket/x",
        "data:text/plain,hello",
        "reference://x",
        "relative/path",
        "file://relative",
        "s3://",
        "sftp:///x",
        "/data/\x00",
    ],
)
def test_urls_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_store_url(text)
    assert caught.value.code == "invalid_source_uri"
    assert "secret" not in caught.value.detail


def test_github_names_its_repository_before_the_at() -> None:
    assert parse_store_url("github://org:repo@main/docs").place == "org:repo@main/docs"


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_url.importlib.util, "find_spec", lambda name: None)
    for text, extra in (
        ("s3://b", "s3"),
        ("gs://b", "gcs"),
        ("abfss://c@a.dfs.core.windows.net/x", "azure"),
        ("sftp://h/x", "sftp"),
    ):
        with pytest.raises(InvalidInput, match=f"pip install 'footnote\\[{extra}\\]'") as caught:
            check_driver(parse_store_url(text))
        assert caught.value.code == "driver_missing"
    check_driver(parse_store_url("memory://x"))


def test_options_of_a_store() -> None:
    url = parse_store_url("s3://b")
    options = store_options(url, {"region": "eu-1", "endpoint": "http://h:9000", "anonymous": True})
    assert (options["region"], options["endpoint"], options["skip_signature"]) == ("eu-1", "http://h:9000", True)
    assert options["client_options"]["allow_http"] is True
    assert store_options(url, {"endpoint": "https://h"})["client_options"]["allow_http"] is False
    assert store_options(parse_store_url("memory://b"), {}) == {}
