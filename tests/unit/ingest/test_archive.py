"""Zip containers: what is refused before it is unpacked."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from infra.errors import Unprocessable
from ingest.archive import as_plain_document, check_archive


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def stating(data: bytes, *, unpacked: int | None = None, packed: int | None = None) -> bytes:
    """The container with other sizes in its directory."""
    changed = bytearray(data)
    place = changed.find(b"PK\x01\x02")
    if packed is not None:
        struct.pack_into("<I", changed, place + 20, packed)
    if unpacked is not None:
        struct.pack_into("<I", changed, place + 24, unpacked)
    return bytes(changed)


def test_a_normal_container_passes() -> None:
    check_archive(zipped({"a.xml": b"text " * 1000}))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (zipped({"a.xml": bytes(64 << 20)}), "unpacks from"),
        (zipped({str(number): b"" for number in range(20_001)}), "20001 parts"),
        (stating(zipped({"a.xml": b"x" * 100}), unpacked=800 << 20), "sizes that cannot be"),
        (stating(zipped({"a.xml": b"x" * 100}), packed=50_000), "sizes that cannot be"),
        (b"PK\x03\x04 and no directory", "cannot be opened"),
    ],
)
def test_what_would_take_too_much_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Unprocessable, match=says) as caught:
        check_archive(data)
    assert caught.value.code == "malformed"


def test_a_document_with_macros_is_declared_as_a_plain_one() -> None:
    plain = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    types = b'<Types><Override ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/></Types>'
    data = zipped({"[Content_Types].xml": types, "word/document.xml": b"<w/>", "word/vbaProject.bin": b"macro"})
    with zipfile.ZipFile(io.BytesIO(as_plain_document(data))) as archive:
        assert archive.read("[Content_Types].xml").decode().count(plain) == 1
        assert archive.read("word/document.xml") == b"<w/>"
    other = zipped({"[Content_Types].xml": plain.encode()})
    assert as_plain_document(other) is other


def test_the_limit_on_what_is_unpacked() -> None:
    data = zipped({"a.xml": b"text " * 1000})
    check_archive(data, max_unpacked=5_000)
    with pytest.raises(Unprocessable, match="unpacks from"):
        check_archive(data, max_unpacked=4_999)
