"""What a source's kind, uri and options mean, checked before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.errors import InvalidInput
from ingest.sources.address import AddressRules, address_rules
from ingest.sources.connectors import ConnectorPlan
from ingest.sources.git import GitPlan
from ingest.sources.plan import check_source, is_local, local_path, plan_source
from ingest.sources.web import WebPlan

CONFLUENCE = {"connection": {"url": "https://x.test", "username": "u", "access_config": {"token": {"env": "WIKI"}}}}


def plan(kind: str, uri: str, options: dict[str, Any] | None = None, secrets: dict[str, str] | None = None) -> Any:
    return plan_source(kind, uri, options or {}, AddressRules(), secrets)


def test_web() -> None:
    assert plan("web", "HTTPS://h.test:443/x#y") == WebPlan("https://h.test/x", "page", 3, 1000)
    assert plan("web", "https://h.test/sitemap.xml.gz") == WebPlan(
        "https://h.test/sitemap.xml.gz", "sitemap", 3, 50_000
    )
    assert plan("web", "https://h.test/", {"depth": 2, "max_pages": 7}) == WebPlan("https://h.test/", "crawl", 2, 7)
    assert plan("web", "https://h.test/", {"mode": "crawl"}) == WebPlan("https://h.test/", "crawl", 3, 1000)
    assert plan("fsspec", "https://h.test/a.pdf") == WebPlan("https://h.test/a.pdf", "page")


def test_git() -> None:
    found = plan("git", "https://h.test/r", {"ref": "v1", "folder": "/docs/", "token": {"env": "T"}}, {"T": "s3cret"})
    assert isinstance(found, GitPlan)
    assert (found.ref, found.folder, found.token, found.user) == ("v1", "docs", "s3cret", "x-access-token")


def test_a_connector_gets_its_secrets_and_its_names_are_checked() -> None:
    found = plan("connector", "confluence://wiki", CONFLUENCE, {"WIKI": "s3cret"})
    assert isinstance(found, ConnectorPlan)
    assert (found.name, found.connection["access_config"]) == ("confluence", {"token": "s3cret"})
    assert (
        plan("connector", "google-drive://x", {"connection": {"drive_id": "d", "access_config": {}}}).name
        == "google_drive"
    )


def test_the_paths_of_this_machine_are_told() -> None:
    assert local_path("directory", "/data/x") == Path("/data/x")
    assert local_path("directory", "file:///data/x%20y") == Path("/data/x y")
    assert local_path("fsspec", "zip://a::file:///data/x.zip") == Path("/data/x.zip")
    assert local_path("git", "file:///data/r") == Path("/data/r")
    assert local_path("connector", "local://x", {"index": {"input_path": "/data"}}) == Path("/data")
    for kind, uri in (
        ("fsspec", "s3://b/x"),
        ("fsspec", "sftp://h/x"),
        ("git", "https://h.test/r"),
        ("web", "http://10.0.0.1/"),
    ):
        assert not is_local(kind, uri)


@pytest.mark.parametrize(
    ("kind", "uri", "options", "field"),
    [
        ("ftp", "ftp://h/x", {}, "kind"),
        ("directory", "relative", {}, "uri"),
        ("directory", "", {}, "uri"),
        ("directory", "/x\n", {}, "uri"),
        ("directory", "file://host/x", {}, "uri"),
        ("directory", "/x", {"depth": 1}, "options"),
        ("web", "ftp://h/x", {}, "uri"),
        ("web", "https://u:p@h.test/", {}, "uri"),
        ("web", "http://127.0.0.1/", {}, "uri"),
        ("web", "http://[::ffff:10.0.0.1]/", {}, "uri"),
        ("web", "https://h.test/", {"depth": "2"}, "options.depth"),
        ("web", "https://h.test/", {"max_pages": 0}, "options.max_pages"),
        ("web", "https://h.test/", {"mode": "all"}, "options.mode"),
        ("fsspec", "s3://b/x", {"endpoint": "ftp://h"}, "options.endpoint"),
        ("fsspec", "s3://b/x", {"endpoint": "http://169.254.169.254"}, "uri"),
        ("fsspec", "s3://b/x", {"secret": "x"}, "options"),
        ("fsspec", "ftp://files.corp/x", {}, "uri"),
        ("fsspec", "http://127.0.0.1/x", {}, "uri"),
        ("git", "https://h.test/r", {"token": "s3cret"}, "options.token"),
        ("git", "ssh://h.test/r", {"token": {"env": "T"}}, "options.token"),
        ("connector", "nothing://x", {}, "uri"),
        ("connector", "confluence", {}, "uri"),
        ("connector", "s3://x", {}, "uri"),
        ("connector", "confluence://x", {"connection": {"nope": 1}}, "options.connection.nope"),
        ("connector", "confluence://x", {"connection": {"username": "u"}}, "options.connection"),
        (
            "connector",
            "local://x",
            {"index": {"input_path": "/x"}, "download": {"download_dir": "/y"}},
            "options.download.download_dir",
        ),
        (
            "connector",
            "confluence://x",
            {"connection": {"url": "https://x.test", "access_config": {"token": "s3cret"}}},
            "options.connection.access_config",
        ),
    ],
)
def test_what_is_refused(kind: str, uri: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_source(kind, uri, options)
    assert [error.field for error in caught.value.errors] == [field]
    assert "s3cret" not in caught.value.detail
    assert caught.value.detail.endswith(".")


def test_hosts_of_drivers_and_private_addresses_pass_if_the_operator_allows_them() -> None:
    check_source("fsspec", "ftp://files.corp/x", {}, allow_addresses=["*.corp"])
    check_source("fsspec", "s3://b/x", {"endpoint": "http://10.0.0.9:9000"}, allow_addresses=["10.0.0.0/8"])
    check_source("web", "http://127.0.0.1/", {}, allow_addresses=["127.0.0.1"])
    assert plan_source("web", "http://10.0.0.1/", {}, address_rules(["10.0.0.1"]), None) == WebPlan("http://10.0.0.1/")


def test_a_secret_that_is_not_there() -> None:
    check_source("git", "https://h.test/r", {"token": {"env": "T"}})
    for kind, uri, options in (
        ("git", "https://h.test/r", {"token": {"env": "T"}}),
        ("connector", "confluence://x", CONFLUENCE),
    ):
        with pytest.raises(InvalidInput) as caught:
            check_source(kind, uri, options, secrets={"OTHER": "x", "T": ""})
        assert caught.value.code == "secret_missing"
