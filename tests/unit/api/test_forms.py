"""Forms: files go to the spool as they arrive; a form that is refused leaves nothing there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.forms import MAX_PARTS, Form, FormFile, read_form
from infra.errors import Busy, FootnoteError, InvalidInput, TooLarge
from ingest.spool import Spool

KIND = "multipart/form-data; boundary=XX"


def part(name: str, body: bytes, filename: str | None = None, kind: str | None = None) -> bytes:
    headers = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        headers += f'; filename="{filename}"'
    if kind is not None:
        headers += f"\r\nContent-Type: {kind}"
    return f"--XX\r\n{headers}\r\n\r\n".encode() + body + b"\r\n"


def read(body: bytes, spool: Spool, *, piece: int = 7, limit: int = 2**20, kind: str = KIND) -> Form:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    return asyncio.run(read_form(kind, pieces(), spool, limit, ("metadata", "allowed_groups")))


@pytest.mark.parametrize("piece", [1, 7, 10**6])
def test_files_and_fields(tmp_path: Path, piece: int) -> None:
    spool = Spool(tmp_path)
    body = (
        part("metadata", b'{"a": "\xc3\xa9"}')
        + part("files", b"one\r\n--X\r\n", "a/b.txt", "text/csv")
        + part("allowed_groups", b"hr")
        + part("files", b"", "\u00e4.txt")
        + part("allowed_groups", b"eng")
        + b"--XX--\r\n"
    )
    form = read(body, spool, piece=piece)
    assert form.fields == {"metadata": ['{"a": "é"}'], "allowed_groups": ["hr", "eng"]}
    assert [(f.name, f.content_type) for f in form.files] == [("a/b.txt", "text/csv"), ("ä.txt", "text/plain")]
    assert [spool.path(f.blob).read_bytes() for f in form.files] == [b"one\r\n--X\r\n", b""]
    assert isinstance(form.files[0], FormFile)


GOOD = part("files", b"x" * 100, "a.txt")


@pytest.mark.parametrize(
    ("body", "kind", "error", "code"),
    [
        (GOOD + part("extra", b"1"), KIND, InvalidInput, "invalid_request"),
        (GOOD + part("extra", b"1", "f.txt"), KIND, InvalidInput, "invalid_request"),
        (GOOD + GOOD, KIND, InvalidInput, "duplicate_file_name"),
        (GOOD + part("files", b"", "a\tb.txt"), KIND, InvalidInput, "invalid_external_id"),
        (GOOD + part("metadata", b"\xff"), KIND, InvalidInput, "invalid_form"),
        (GOOD, KIND, InvalidInput, "invalid_form"),
        (GOOD[:-5], KIND, InvalidInput, "invalid_form"),
        (b"no form at all", KIND, InvalidInput, "invalid_form"),
        (GOOD + b"--XX--\r\n", "multipart/form-data", InvalidInput, "invalid_form"),
        (GOOD + part("files", b"y" * 201, "big.txt") + b"--XX--\r\n", KIND, TooLarge, "too_large"),
        (GOOD + part("metadata", b"y" * (2**20 + 1)), KIND, TooLarge, "too_large"),
        (GOOD + part("metadata", b"y") * MAX_PARTS, KIND, TooLarge, "too_large"),
        (GOOD + b"--XX\r\n" + b"X-A: " + b"y" * 9000 + b"\r\n\r\n", KIND, TooLarge, "too_large"),
    ],
)
def test_a_form_that_is_refused_leaves_nothing(
    tmp_path: Path, body: bytes, kind: str, error: type[FootnoteError], code: str
) -> None:
    with pytest.raises(error) as caught:
        read(body, Spool(tmp_path), piece=65_536, limit=200, kind=kind)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_full_spool_drops_the_whole_form(tmp_path: Path) -> None:
    body = b"".join(part("files", b"x" * 2**19, f"{n}.txt") for n in range(3)) + b"--XX--\r\n"
    with pytest.raises(Busy):
        read(body, Spool(tmp_path, 2**20 + 2**19 - 4096), piece=65_536)
    assert list(tmp_path.iterdir()) == []


def test_a_sender_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield GOOD + part("files", b"x" * 2**20, "b.txt")[:-9]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(read_form(KIND, pieces(), Spool(tmp_path), 2**21, ()))
    assert list(tmp_path.iterdir()) == []
