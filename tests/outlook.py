"""A writer of Outlook messages ([MS-OXMSG]) for tests: text, recipients, attached files and attached messages."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from compound_file import Tree, compound_file

_UNICODE, _BINARY, _NUMBER = 0x001F, 0x0102, 0x0003
_SUBJECT, _BODY, _HTML, _SENDER, _SENDER_ADDRESS = 0x0037, 0x1000, 0x1013, 0x0C1A, 0x0C1F
_NAME, _ADDRESS, _RECIPIENT_TYPE = 0x3001, 0x39FE, 0x0C15
_FILE_DATA, _LONG_NAME, _MIME, _CONTENT_ID, _METHOD = 0x3701, 0x3707, 0x370E, 0x3712, 0x3705

Value = str | bytes | int


def outlook_message(**parts: object) -> bytes:
    """The bytes of a ``.msg`` file; the parts are those of ``message_tree``."""
    return compound_file(message_tree(**parts))  # type: ignore[arg-type]


def message_tree(
    *,
    subject: str,
    body: str = "",
    html: str = "",
    to: Sequence[str] = (),
    files: Sequence[tuple[str, str, bytes]] = (),
    pictures: Sequence[tuple[str, bytes]] = (),
    messages: Sequence[Tree] = (),
    attached: bool = False,
) -> Tree:
    """The streams of a message from Ann. ``files`` are (name, media type, bytes); ``pictures`` are shown by the body."""
    values: dict[int, Value] = {_SUBJECT: subject, _SENDER: "Ann", _SENDER_ADDRESS: "ann@example.org"}
    values |= {_BODY: body} if body else {}
    values |= {_HTML: html.encode()} if html else {}
    count = len(files) + len(pictures) + len(messages)
    head = struct.pack("<8x4I", len(to), count, len(to), count) + (b"" if attached else bytes(8))
    tree = _storage(values, head)
    for number, name in enumerate(to):
        values = {_NAME: name, _ADDRESS: f"{name.lower()}@example.org", _RECIPIENT_TYPE: 1}
        tree[f"__recip_version1.0_#{number:08X}"] = _storage(values, bytes(8))
    number = 0
    for file, mime, data in files:
        values = {_LONG_NAME: file, _MIME: mime, _FILE_DATA: data, _METHOD: 1}
        tree[f"__attach_version1.0_#{number:08X}"] = _storage(values, bytes(8))
        number += 1
    for file, data in pictures:
        values = {_LONG_NAME: file, _MIME: "image/png", _FILE_DATA: data, _METHOD: 1, _CONTENT_ID: f"{file}@x"}
        tree[f"__attach_version1.0_#{number:08X}"] = _storage(values, bytes(8))
        number += 1
    for message in messages:
        storage = _storage({_METHOD: 5}, bytes(8))
        storage[f"__substg1.0_{_FILE_DATA:04X}000D"] = message
        tree[f"__attach_version1.0_#{number:08X}"] = storage
        number += 1
    return tree


def _storage(values: dict[int, Value], head: bytes) -> Tree:
    tree: Tree = {}
    properties = head
    for number, value in values.items():
        if isinstance(value, int):
            properties += struct.pack("<HHII4x", _NUMBER, number, 6, value)
            continue
        kind, data = (_UNICODE, value.encode("utf-16-le")) if isinstance(value, str) else (_BINARY, value)
        properties += struct.pack("<HHII4x", kind, number, 6, len(data) + (2 if kind == _UNICODE else 0))
        tree[f"__substg1.0_{number:04X}{kind:04X}"] = data
    tree["__properties_version1.0"] = properties
    return tree
