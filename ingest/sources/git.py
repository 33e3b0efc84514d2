"""A git repository as a source: the files of one commit, brought when they are asked for."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ingest.sources.address import AddressRefused, AddressRules, HostUnknown
from ingest.sources.copying import Limits, copy
from ingest.sources.entry import Entry, Fetched, FetchFailed, ListingFailed
from ingest.sources.git_command import GitCommand, GitFailed, basic_header, settings
from ingest.sources.git_url import GitUrl
from ingest.sources.patterns import ALL, Patterns, hidden_path

_AHEAD = 512  # blobs that one request brings at most
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_SIZE = 1024  # a pointer is smaller (Git LFS specification)


@dataclass(frozen=True, slots=True)
class GitPlan:
    """What of a repository is wanted: ``ref`` (its default branch if ``None``), below ``folder``; ``token`` for https."""

    url: GitUrl
    ref: str | None = None
    folder: str | None = None
    user: str = "x-access-token"
    token: str | None = None


class GitReader:
    """Reads the newest commit. The key is the path below the folder; mark and identity are the blob's id.

    So a file that was moved unchanged keeps its identity, and an unchanged one is not brought again: the clone is partial,
    without blobs, if the server can do that (``uploadpack.allowFilter``, as all the large hosts have it). Links, submodules
    and hidden files are passed over; a Git LFS pointer is a failure of its document.
    """

    def __init__(
        self,
        plan: GitPlan,
        rules: AddressRules,
        patterns: Patterns = ALL,
        *,
        scratch: Path | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._plan, self._rules, self._patterns = plan, rules, patterns
        self._scratch, self._limits = scratch, limits
        self._folder: Path | None = None
        self._git: GitCommand | None = None
        self._commit, self._committed = "", ""
        self._missing: dict[bytes, None] = {}  # blobs that the clone lacks, in the order of their paths
        self._ahead: dict[bytes, None] = {}  # those of them that were listed
        self._hits = 0  # blobs found present since the last request

    def entries(self) -> Iterator[Entry]:
        """The files of the commit, as git lists its tree."""
        try:
            git = self._clone()
            tree = f"{self._commit}:{self._plan.folder or ''}"
            if self._plan.folder and git.run("cat-file", "--batch-check", given=tree.encode()).split()[1:2] != [
                b"tree"
            ]:
                raise GitFailed(f"it has no folder {self._plan.folder}")
            self._ahead = {}
            rest = b""
            for piece in git.stream("ls-tree", "-r", "-z", tree):
                *lines, rest = (rest + piece).split(b"\0")
                for line in lines:
                    if entry := self._entry(line):
                        if (blob := bytes.fromhex(entry.mark or "")) in self._missing:
                            self._ahead[blob] = None
                        yield entry
        except GitFailed as failed:
            raise ListingFailed(f"The repository could not be read: {failed.detail}.") from failed

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:  # noqa: ARG002 - the mark tells change
        """The blob's bytes in a new file of ``folder``."""
        blob = entry.identity or entry.mark
        if blob is None or not blob.isalnum():
            raise FetchFailed("not_found", f"{entry.key} was listed without its blob.", gone=True)
        try:
            git = self._clone()
            self._bring(git, bytes.fromhex(blob))
            pieces = git.stream("cat-file", "--batch", given=f"{blob}\n".encode())
            path = copy(_body(pieces, entry.key), folder, entry.key, self._limits)
        except GitFailed as failed:
            detail = f"{entry.key} could not be read: {failed.detail}."
            raise FetchFailed("git_failed", detail, transient=True) from failed
        with path.open("rb") as file:
            if path.stat().st_size < _LFS_SIZE and file.read(len(_LFS)) == _LFS:
                path.unlink()
                raise FetchFailed("lfs_pointer", f"{entry.key} is kept in Git LFS, which is not read.")
        return Fetched(path, temporary=True, filename=entry.filename, url=entry.url)

    def close(self) -> None:
        """Drop the clone."""
        self._git = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _clone(self) -> GitCommand:
        """The clone, made at first use: one commit with its trees, and the blobs only if the server cannot leave them out."""
        if self._git is not None:
            return self._git
        plan, url = self._plan, self._plan.url
        try:
            addresses = self._rules.addresses(url.host, url.port) if url.host else []
        except (AddressRefused, HostUnknown) as error:
            raise GitFailed(error.detail.rstrip(".")) from error
        pins = (
            [f"{url.host}:{url.port}:{','.join(map(_bracketed, addresses))}"]
            if url.protocol in {"http", "https"}
            else []
        )
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="git-", dir=self._scratch))
        git = GitCommand(
            self._folder,
            url.text,
            [url.protocol],
            settings(pins),
            basic_header(plan.user, plan.token) if plan.token else None,
            _ssh(url, addresses),
            self._limits.timeout_s,
        )
        git.run("init", "--quiet", "--bare", "--template=", str(self._folder))
        git.run("remote", "add", "--", "origin", url.text if url.local is None else url.local.as_uri())
        wanted = ["--depth=1", "--no-tags", "--filter=blob:none", "--no-write-fetch-head"]
        git.run("fetch", "--quiet", *wanted, "--", "origin", f"{plan.ref or 'HEAD'}:refs/source/head")
        said = git.run("show", "--no-patch", "--format=%H %cI", "refs/source/head^{commit}").decode().split()
        self._commit, self._committed = said[0], said[1]
        listed = git.run("rev-list", "--objects", "--missing=print", self._commit)
        self._missing = {bytes.fromhex(line[1:].decode()): None for line in listed.splitlines() if line[:1] == b"?"}
        self._git = git
        return git

    def _entry(self, line: bytes) -> Entry | None:
        """A line of ``ls-tree``: mode, type, id, and after a tab the path."""
        about, _, name = line.partition(b"\t")
        mode, kind, blob = about.decode().split()
        key = name.decode("utf-8", "backslashreplace")
        if kind != "blob" or mode == "120000" or hidden_path(key) or key not in self._patterns:
            return None
        path = f"{self._plan.folder}/{key}" if self._plan.folder else key
        metadata: Mapping[str, str] = {"commit": self._commit, "committed_at": self._committed}
        return Entry(
            key, blob, blob, key.rpartition("/")[2], url=self._plan.url.page(self._commit, path), metadata=metadata
        )

    def _bring(self, git: GitCommand, blob: bytes) -> None:
        """Get a blob that the clone lacks, and more of those that follow the longer the run of blobs that were asked for.

        So the first sync needs few requests, and one that brings single files brings few more than those.
        """
        if blob not in self._missing:
            self._hits += 1
            return
        count = min(_AHEAD, 2 * self._hits + 2)
        following = zip(self._ahead or self._missing, range(count), strict=False)
        wanted = [blob, *(other for other, _ in following if other != blob)]
        given = "".join(f"{one.hex()}\n" for one in wanted).encode()
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin"]
        git.run("-c", "fetch.negotiationAlgorithm=noop", "fetch", *options, "origin", given=given)
        for one in wanted:
            del self._missing[one]
            self._ahead.pop(one, None)
        self._hits = 0


def _body(pieces: Iterator[bytes], key: str) -> Iterator[bytes]:
    """The content in an answer of ``cat-file --batch``: a line with id, type and size, the content, a line's end."""
    head = b""
    for piece in pieces:
        head += piece
        if b"\n" in head:
            break
    line, _, rest = head.partition(b"\n")
    parts = line.split()
    if len(parts) != 3 or parts[1] != b"blob":
        raise FetchFailed("not_found", f"{key} is not in the repository any more.", gone=True)
    left = int(parts[2])
    while left > 0:
        yield rest[:left]
        left -= len(rest[:left])
        rest = next(pieces, b"") if left else b""
        if left and not rest:
            raise FetchFailed("git_failed", f"{key} did not come whole.", transient=True)


def _ssh(url: GitUrl, addresses: list[str]) -> str:
    """ssh without questions, to the address that was checked; the host's key is still that of its name."""
    options = [
        "BatchMode=yes",
        "ConnectTimeout=20",
        "ProxyCommand=none",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
    ]
    if addresses:
        options += [f"HostName={addresses[0]}", f"HostKeyAlias={url.host}"]
    return shlex.join(["ssh", *(part for option in options for part in ("-o", option))])


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
