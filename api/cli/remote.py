"""A client of a running server, for commands with ``--server``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infra.errors import FootnoteError, InvalidInput, Unavailable


class RemoteError(FootnoteError):
    """A problem that the server answered with."""

    def __init__(self, status: int, detail: str, code: str) -> None:
        super().__init__(detail, code=code)
        self.status = status


@contextmanager
def remote(server: str, key: str | None, groups: Sequence[str] | None = None) -> Iterator[httpx.Client]:
    """A client for ``server``, acting for ``groups`` if any; raises ``Unavailable`` when it does not answer.

    A key ``@FILE`` is read from that file, so that it need not stand on the command line.
    """
    if not server.startswith(("http://", "https://")):
        raise InvalidInput("--server must be an address starting with http:// or https://.")
    if key is not None and key.startswith("@"):
        key = _read_key(Path(key[1:]))
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if groups:
        headers["X-Footnote-Groups"] = ",".join(groups)
    with httpx.Client(base_url=server.rstrip("/"), headers=headers, timeout=300, trust_env=False) as client:
        try:
            yield client
        except httpx.TransportError as error:
            raise Unavailable(f"The server at {server} does not answer ({type(error).__name__}).") from None


def _read_key(path: Path) -> str:
    if not path.is_file():
        raise InvalidInput(f"The key file {path} does not exist.")
    return path.read_text(encoding="utf-8").strip()


def read(response: httpx.Response) -> Any:
    """The JSON body of a response; raises ``RemoteError`` for a problem."""
    try:
        body = response.json()
    except ValueError:
        message = f"The server answered {response.status_code} without JSON."
        raise RemoteError(response.status_code, message, "bad_answer") from None
    if response.is_error:
        raise RemoteError(response.status_code, body.get("detail", "unknown problem"), body.get("code", "unknown"))
    return body
