"""Zip containers: a guard against those that are small on disk and huge in memory, and documents of a kind like DOCX."""

from __future__ import annotations

import io
import zipfile

from infra.errors import Unprocessable

MAX_UNPACKED = 1 << 30
MAX_RATIO = 200
_SMALL = 32 << 20  # a ratio says nothing about a container this small
MAX_MEMBERS = 20_000
_MOST = 1_032  # to 1: what deflate can do at most (zlib's technical details)
_SLACK = 1_024
_TYPES = "[Content_Types].xml"
# Documents with macros, templates and shows hold the same parts as plain documents, which the readers ask for by name.
_KINDS = tuple(
    (f"application/vnd.{kind}+xml".encode(), f"application/vnd.openxmlformats-officedocument.{plain}.main+xml".encode())
    for kind, plain in (
        ("ms-word.document.macroEnabled.main", "wordprocessingml.document"),
        ("ms-word.template.macroEnabledTemplate.main", "wordprocessingml.document"),
        ("openxmlformats-officedocument.wordprocessingml.template.main", "wordprocessingml.document"),
        ("ms-powerpoint.presentation.macroEnabled.main", "presentationml.presentation"),
        ("ms-powerpoint.slideshow.macroEnabled.main", "presentationml.presentation"),
        ("ms-powerpoint.template.macroEnabled.main", "presentationml.presentation"),
        ("openxmlformats-officedocument.presentationml.slideshow.main", "presentationml.presentation"),
        ("openxmlformats-officedocument.presentationml.template.main", "presentationml.presentation"),
    )
)


def check_archive(data: bytes, *, max_unpacked: int = MAX_UNPACKED) -> None:
    """Raise ``Unprocessable`` if unpacking ``data`` would take too much, or needs a password."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        raise Unprocessable("The file is damaged: its zip container cannot be opened.", code="malformed") from error
    if any(member.flag_bits & 1 for member in members):
        raise Unprocessable("The file is protected by a password: send a copy without one.", code="encrypted")
    if any(each.compress_size > len(data) or each.file_size > _MOST * each.compress_size + _SLACK for each in members):
        raise Unprocessable("The file is damaged: its zip container states sizes that cannot be.", code="malformed")
    unpacked = sum(member.file_size for member in members)
    ratio = unpacked / max(1, len(data))
    if unpacked > max_unpacked or (unpacked > _SMALL and ratio > MAX_RATIO) or len(members) > MAX_MEMBERS:
        raise Unprocessable(
            f"The file unpacks from {len(data) >> 10} kB to {unpacked >> 20} MB in {len(members)} parts:"
            " that is no normal document.",
            code="malformed",
        )


def as_plain_document(data: bytes) -> bytes:
    """A Word or PowerPoint file declared as a plain document: macros stay what they are, bytes that nobody looks into.

    Call it after ``check_archive``. Raises what ``zipfile`` raises on a damaged container.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        types = source.read(_TYPES) if _TYPES in source.namelist() else b""
        if not any(kind in types for kind, _ in _KINDS):
            return data
        for kind, plain in _KINDS:
            types = types.replace(kind, plain)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as copy:
            copy.writestr(_TYPES, types)
            for member in source.infolist():
                if member.filename != _TYPES:
                    copy.writestr(member.filename, source.read(member))
    return target.getvalue()
