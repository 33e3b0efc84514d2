"""A guard against containers that are small on disk and huge in memory."""

from __future__ import annotations

import io
import zipfile

from infra.errors import Unprocessable

MAX_UNPACKED = 1 << 30
MAX_RATIO = 200
_SMALL = 32 << 20  # a ratio says nothing about a container this small
MAX_MEMBERS = 20_000


def check_archive(data: bytes, *, max_unpacked: int = MAX_UNPACKED) -> None:
    """Raise ``Unprocessable`` if unpacking ``data`` would take too much, or needs a password."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise Unprocessable("The file is damaged: its zip container cannot be opened.", code="malformed") from error
    if any(member.flag_bits & 1 for member in members):
        raise Unprocessable("The file is protected by a password: send a copy without one.", code="encrypted")
    unpacked = sum(member.file_size for member in members)
    ratio = unpacked / max(1, len(data))
    if unpacked > max_unpacked or (unpacked > _SMALL and ratio > MAX_RATIO) or len(members) > MAX_MEMBERS:
        raise Unprocessable(
            f"The file unpacks from {len(data) >> 10} kB to {unpacked >> 20} MB in {len(members)} parts:"
            " that is no normal document.",
            code="malformed",
        )
