"""Files attached to a mail: each is read as it would be alone, under a heading with its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from infra.errors import FootnoteError, Unsupported
from ingest.block import Block
from ingest.elements import ElementKind

MAX_DEPTH = 4
MAX_ATTACHMENTS = 200
_SIGNATURES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
        "application/ms-tnef",
    }
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file within a message. ``inline`` says that the message shows it in its body, as a logo."""

    name: str
    mime: str
    data: bytes
    inline: bool = False


ReadAttachment = Callable[[Attachment], list[Block]]
"""Reads an attachment; raises ``FootnoteError`` where ``ingest.parse.parse`` does."""


def attachment_blocks(attachments: Iterable[Attachment], read: ReadAttachment, depth: int) -> Iterator[Block]:
    """The blocks of a message's attachments; ``depth`` counts the files that the message lies in, itself included.

    An attachment that cannot be read costs itself only: a line says its name, and why unless it is of a kind that
    is never read. Pictures in the body and
    signatures are no attachments to a reader.
    """
    number = 0
    for attachment in attachments:
        if attachment.mime in _SIGNATURES or (attachment.inline and attachment.mime.startswith("image/")):
            continue
        number += 1
        if number > MAX_ATTACHMENTS:
            yield Block(ElementKind.PARAGRAPH, f"The attachments after the first {MAX_ATTACHMENTS} were not read.")
            return
        if depth >= MAX_DEPTH:
            yield too_deep(attachment.name)
            continue
        try:
            blocks = read(attachment)
        except Unsupported:
            yield _unread(attachment.name)
            continue
        except FootnoteError as error:
            yield _unread(attachment.name, error.detail)
            continue
        yield Block(ElementKind.HEADING, attachment.name, level=2)
        yield from nested(blocks, 2)


def nested(blocks: Iterable[Block], levels: int) -> Iterator[Block]:
    """``blocks`` with their headings put so many ``levels`` deeper."""
    for block in blocks:
        yield replace(block, level=(block.level or 1) + levels) if block.kind is ElementKind.HEADING else block


def plain_name(name: str) -> str:
    """A file's name without the folders that its sender may have put before it."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip() or "unnamed"


def too_deep(name: str) -> Block:
    """What is said of a file or message that lies deeper in other messages than is read."""
    return _unread(name, "It lies too deep in other messages.")


def _unread(name: str, reason: str = "") -> Block:
    return Block(ElementKind.PARAGRAPH, f"Attachment not read: {name}. {reason}".rstrip())
