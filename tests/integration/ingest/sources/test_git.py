"""Real git repositories, on the disk and over HTTP."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from git_repository import Repository, git_server, new_repository

from ingest.sources import git_command
from ingest.sources.address import AddressRules, address_rules
from ingest.sources.copying import Limits
from ingest.sources.entry import Entry, FetchFailed, ListingFailed, SourceReader
from ingest.sources.git import GitPlan, GitReader
from ingest.sources.git_command import GitCommand
from ingest.sources.git_url import parse_git_url
from ingest.sources.open import open_source


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = new_repository(tmp_path / "served" / "handbook")
    made.write("README.md", "read me")
    made.write("docs/a.md", "alpha")
    made.write("docs/deep/ü b.md", "grüß")
    made.write("docs/.hidden.md", "no")
    made.write("docs/bin", bytes(range(256)) * 1000)
    (made.path / "docs/link.md").symlink_to("a.md")
    made.commit()
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def contents(reader: SourceReader, out: Path) -> dict[str, bytes]:
    found = {}
    for entry in list(reader.entries()):
        fetched = reader.fetch(entry, out, None)
        assert fetched is not None
        assert (fetched.temporary, fetched.path.parent) == (True, out)
        found[entry.key] = fetched.path.read_bytes()
    return found


def opened(repository: Repository, options: dict[str, Any] | None = None, **more: Any) -> SourceReader:
    return open_source("git", str(repository.path), options, **more)


@pytest.mark.parametrize("partial", [True, False])
def test_files_of_the_newest_commit(repository: Repository, out: Path, tmp_path: Path, partial: bool) -> None:
    repository.git("config", "uploadpack.allowFilter", "true" if partial else "false")
    repository.write("docs/uncommitted.md", "no")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with closing(opened(repository, scratch=scratch)) as reader:
        assert contents(reader, out) == {
            "README.md": b"read me",
            "docs/a.md": b"alpha",
            "docs/deep/ü b.md": "grüß".encode(),
            "docs/bin": bytes(range(256)) * 1000,
        }
        assert list(scratch.iterdir()) != []
    assert list(scratch.iterdir()) == []


def test_a_folder_and_patterns(repository: Repository, out: Path) -> None:
    with closing(opened(repository, {"folder": "docs"}, include=["**/*.md"], exclude=["a.md"])) as reader:
        assert contents(reader, out) == {"deep/ü b.md": "grüß".encode()}
    with (
        closing(opened(repository, {"folder": "README.md"})) as reader,
        pytest.raises(ListingFailed, match="no folder README"),
    ):
        list(reader.entries())


def test_marks_are_blobs(repository: Repository) -> None:
    blob = repository.git("rev-parse", "HEAD:docs/a.md").strip()
    with closing(opened(repository)) as reader:
        entry = next(entry for entry in reader.entries() if entry.key == "docs/a.md")
    assert (entry.mark, entry.identity, entry.filename) == (blob, blob, "a.md")
    assert entry.metadata["commit"] == repository.git("rev-parse", "HEAD").strip()
    assert entry.metadata["committed_at"] == repository.git("show", "-s", "--format=%cI").strip()


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated", "commit"])
def test_a_ref(repository: Repository, out: Path, kind: str) -> None:
    old = repository.git("rev-parse", "HEAD").strip()
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.git("branch", "branch")
    repository.git("tag", "tag")
    repository.git("tag", "--annotate", "annotated", "--message", "x")
    repository.write("docs/a.md", "new")
    repository.commit()
    ref = old if kind == "commit" else kind
    with closing(opened(repository, {"ref": ref}, include=["docs/a.md"])) as reader:
        assert contents(reader, out) == {"docs/a.md": b"alpha"}
    with closing(opened(repository, include=["docs/a.md"])) as reader:
        assert contents(reader, out) == {"docs/a.md": b"new"}
    with (
        closing(opened(repository, {"ref": "none"})) as reader,
        pytest.raises(ListingFailed, match="couldn't find remote ref none"),
    ):
        list(reader.entries())


def test_listing_an_unchanged_repository_brings_no_blob_and_a_first_sync_few_requests(
    repository: Repository, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        repository.write(f"many/{number:03}.md", f"text {number}")
    repository.commit()
    fetches: list[int] = []
    run = GitCommand.run

    def counted(self: GitCommand, *arguments: str, given: bytes = b"") -> bytes:
        if "fetch" in arguments:
            fetches.append(given.count(b"\n"))
        return run(self, *arguments, given=given)

    monkeypatch.setattr(GitCommand, "run", counted)
    with closing(opened(repository)) as reader:
        entries = list(reader.entries())
        assert fetches == [0]
        for entry in entries:
            assert reader.fetch(entry, out, None) is not None
    assert sum(fetches) == len({entry.mark for entry in entries})
    assert len(fetches) <= 10
    fetches.clear()
    with closing(opened(repository)) as reader:
        fetched = reader.fetch(entries[150], out, None)  # without a listing: a job that was taken over
        assert fetched is not None
        assert fetched.path.read_text() == f"text {int(entries[150].filename[:3])}"
    assert fetches[0] == 0
    assert fetches[1] <= 3


def test_a_blob_that_is_gone(repository: Repository, out: Path) -> None:
    with closing(opened(repository)) as reader, pytest.raises(FetchFailed) as caught:
        reader.fetch(Entry("docs/old.md", "0" * 40, "0" * 40), out, None)
    assert caught.value.gone
    with closing(opened(repository)) as reader, pytest.raises(FetchFailed):
        reader.fetch(Entry("docs/old.md", None, "--help"), out, None)
    assert list(out.iterdir()) == []


def test_pointers_of_lfs_and_large_files_are_failures_of_their_own(repository: Repository, out: Path) -> None:
    repository.write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n")
    repository.commit()
    codes = {}
    with closing(opened(repository, limits=Limits(max_bytes=100_000))) as reader:
        for entry in list(reader.entries()):
            try:
                reader.fetch(entry, out, None)
            except FetchFailed as failed:
                codes[entry.key] = failed.code
    assert codes == {"big.bin": "lfs_pointer", "docs/bin": "too_large"}
    assert len(list(out.iterdir())) == 3


def test_submodules_and_hooks_are_left_alone(repository: Repository, tmp_path: Path, out: Path) -> None:
    inner = new_repository(tmp_path / "inner")
    inner.write("secret.md", "secret")
    inner.commit()
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "sub")
    for hook in ("post-checkout", "pre-receive", "reference-transaction", "fsmonitor-watchman"):
        path = repository.path / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        path.chmod(0o755)
    repository.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message", "sub")
    with closing(opened(repository)) as reader:
        assert "sub" not in contents(reader, out)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_repository(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with closing(open_source("git", str(path))) as reader, pytest.raises(ListingFailed, match="could not be read"):
            list(reader.entries())


def test_the_clock_stops_git_and_what_it_started(repository: Repository) -> None:
    repository.git("config", "uploadpack.packObjectsHook", "")
    reader = GitReader(GitPlan(parse_git_url(str(repository.path))), AddressRules(), limits=Limits(timeout_s=0.0))
    with closing(reader), pytest.raises(ListingFailed, match="took longer than 0 s"):
        list(reader.entries())


# Over HTTP


@pytest.fixture
def server(repository: Repository) -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
    with git_server(repository.path.parent) as served:
        yield served


def over_http(server: tuple[int, Any], path: str, rules: AddressRules, token: str | None = None) -> GitReader:
    url = parse_git_url(f"http://git.test:{server[0]}{path}")
    return GitReader(GitPlan(url, token=token, folder="docs"), rules)


def test_the_connection_goes_to_the_address_that_was_checked(server: Any, out: Path) -> None:
    """``git.test`` has no address at all but the one that is given here, and git asks no one else."""
    asked: list[str] = []
    rules = address_rules(["127.0.0.1"], lambda host, port: asked.append(host) or ["127.0.0.1"])
    with closing(over_http(server, "/handbook", rules, token="s3cret")) as reader:
        assert contents(reader, out)["a.md"] == b"alpha"
    assert asked == ["git.test"]
    basic = "Basic " + base64.b64encode(b"x-access-token:s3cret").decode()
    assert set(server[1]) == {(f"git.test:{server[0]}", basic)}


def test_private_addresses_are_refused_before_git_is_started(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_command, "program_path", lambda: pytest.fail("git was started"))
    with closing(over_http(server, "/handbook", address_rules(resolve=lambda host, port: ["127.0.0.1"]))) as reader:
        with pytest.raises(ListingFailed, match="no public address"):
            list(reader.entries())
        with pytest.raises(FetchFailed):
            reader.fetch(Entry("a.md", "0" * 40, "0" * 40), Path(), None)
    assert server[1] == []


def test_redirects_and_proxies_are_not_followed(server: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = address_rules(["127.0.0.1"], lambda host, port: ["127.0.0.1"])
    with closing(over_http(server, "/moved/handbook", rules)) as reader, pytest.raises(ListingFailed):
        list(reader.entries())
    assert len(server[1]) == 1
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with closing(over_http(server, "/handbook", rules)) as reader:
        assert "a.md" in contents(reader, out)


def test_a_missing_repository_asks_no_one_for_a_password(server: Any) -> None:
    rules = address_rules(["127.0.0.1"], lambda host, port: ["127.0.0.1"])
    with closing(over_http(server, "/none", rules)) as reader, pytest.raises(ListingFailed, match="not found"):
        list(reader.entries())


def test_ssh_goes_to_the_address_that_was_checked_and_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of ssh notes how git calls it; the host's key is still looked for under the host's name."""
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/called\nexit 255\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setattr(git_command.os, "defpath", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(git_command, "program_path", lambda: str(tmp_path / "git"))
    (tmp_path / "git").symlink_to("/usr/bin/git" if Path("/usr/bin/git").exists() else str(shutil.which("git")))
    rules = address_rules(["10.0.0.0/8"], lambda host, port: ["10.1.2.3"])
    reader = GitReader(GitPlan(parse_git_url("git@git.test:team/handbook.git")), rules)
    with closing(reader), pytest.raises(ListingFailed):
        list(reader.entries())
    called = (tmp_path / "called").read_text().splitlines()
    assert {"BatchMode=yes", "HostName=10.1.2.3", "HostKeyAlias=git.test", "ProxyCommand=none"} <= set(called)
    assert called[-2:] == ["git@git.test", "git-upload-pack 'team/handbook.git'"]


def test_an_old_git_cannot_be_held_to_an_address(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_command, "version", lambda: (2, 36))
    rules = address_rules(["127.0.0.1"], lambda host, port: ["127.0.0.1"])
    with (
        closing(over_http(server, "/handbook", rules)) as reader,
        pytest.raises(ListingFailed, match=r"older than 2\.37"),
    ):
        list(reader.entries())
