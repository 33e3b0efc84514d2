"""The address of a git repository, taken apart and checked before the git program sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from infra.errors import InvalidInput

_PORTS = {"https": 443, "http": 80, "ssh": 22}
_SCP = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+):(?P<path>[^:].*)")  # git@host:team/repository.git
_REF = re.compile(r"[A-Za-z0-9_][\w./+@-]{0,250}")
_WEB_HOSTS = {"github.com": "blob", "gitlab.com": "-/blob", "codeberg.org": "src/commit", "bitbucket.org": "src"}


@dataclass(frozen=True, slots=True)
class GitUrl:
    """``protocol`` is ``https``, ``http``, ``ssh`` or ``file``; of ``file``, ``path`` is a folder of this machine."""

    text: str
    protocol: str
    host: str
    port: int
    path: str

    @property
    def local(self) -> Path | None:
        """The folder, if the repository is on this machine."""
        return Path(self.path) if self.protocol == "file" else None

    def page(self, commit: str, path: str) -> str | None:
        """Where a file of a commit can be seen, if the host is known."""
        middle = _WEB_HOSTS.get(self.host)
        if middle is None:
            return None
        repository = self.path.strip("/").removesuffix(".git")
        return f"https://{self.host}/{repository}/{middle}/{commit}/{quote(path)}"


def parse_git_url(text: str) -> GitUrl:
    """Take apart ``https://``, ``http://``, ``ssh://``, ``user@host:path``, ``file://`` or an absolute path.

    Raises ``InvalidInput`` for anything else: other transports (``ext::`` runs commands), what git would take for an option,
    a password in the address.
    """
    if text.startswith("-") or "::" in text or any(sign.isspace() or not sign.isprintable() for sign in text):
        raise _invalid("This is no address of a git repository.")
    if "://" not in text and not text.startswith("/"):
        found = _SCP.fullmatch(text)
        if found is None or found["path"].startswith("-"):
            raise _invalid("Give https://, ssh://, user@host:path, file:// or an absolute path.")
        return _checked(GitUrl(text, "ssh", found["host"].lower(), 22, found["path"]))
    try:
        parts = urlsplit(text if "://" in text else f"file://{quote(text)}")
        port = parts.port
    except ValueError as error:
        raise _invalid("This is no address of a git repository.") from error
    if parts.scheme == "file":
        path = unquote(parts.path)
        if parts.hostname or not path.startswith("/"):
            raise _invalid("file:// must be followed by an absolute path.")
        return GitUrl(text, "file", "", 0, path)
    if parts.scheme not in _PORTS:
        raise _invalid("A repository is read over https, ssh, http, or from a path of this machine.")
    if parts.password is not None or (parts.username and parts.scheme != "ssh"):
        raise _invalid("The address must hold no user and no password: name the secret in options.token.")
    if parts.query or parts.fragment or not parts.hostname or not parts.path.strip("/"):
        raise _invalid("This is no address of a git repository.")
    return _checked(GitUrl(text, parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path))


def check_ref(ref: str) -> str:
    """A branch, a tag or a commit's id; raises ``InvalidInput`` for what cannot be one."""
    if not _REF.fullmatch(ref) or ".." in ref or "@{" in ref or ref.endswith((".", "/", ".lock")):
        raise InvalidInput("options.ref must be a branch, a tag or a commit's id.", code="invalid_option")
    return ref


def check_folder(folder: str) -> str:
    """A folder of the repository, without slashes at its ends; raises ``InvalidInput`` for what cannot be one."""
    parts = folder.strip("/").split("/")
    if any(part in {"", ".", ".."} for part in parts) or not folder.isprintable():
        raise InvalidInput("options.folder must be a folder of the repository, such as docs/en.", code="invalid_option")
    return "/".join(parts)


def _checked(url: GitUrl) -> GitUrl:
    if url.host.startswith("-") or url.path.startswith("-"):
        raise _invalid("This is no address of a git repository.")
    return url


def _invalid(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="invalid_source_uri")
