"""E-mails: the headers a person reads, the body, and any message attached to it."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable, Iterator
from email.message import EmailMessage, Message
from typing import cast

from infra.errors import Unprocessable
from ingest.block import Block
from ingest.decode import decode_text
from ingest.elements import ElementKind

_MAX_DEPTH = 4
_HEADERS = ("From", "To", "Cc", "Date")

BodyReader = Callable[[str], list[Block]]


def read_mail(data: bytes, read_html: BodyReader, read_text: BodyReader) -> tuple[list[Block], str | None]:
    """Return the blocks of an RFC 5322 message, and its subject.

    ``read_html`` and ``read_text`` read a body of that kind. Of two alternatives the HTML one is read: it
    keeps tables and lists. Raises ``Unprocessable``: ``malformed`` for bytes without mail headers,
    ``encrypted`` for an encrypted body.
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in data[:64]:
        data = decode_text(data).encode("utf-8")  # a message saved as UTF-16 by an editor
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not message.keys():
        raise Unprocessable("The file is called an e-mail, but has no mail headers.", code="malformed")
    blocks = list(_message_blocks(message, read_html, read_text, 1))
    if not any(block.kind is not ElementKind.HEADING for block in blocks[2:]) and _is_encrypted(message):
        raise Unprocessable("The e-mail is encrypted: send its readable text instead.", code="encrypted")
    return blocks, _header(message, "Subject")


def header_block(fields: list[tuple[str, str]]) -> Block | None:
    """The lines ``From: …``, ``To: …`` as one paragraph; None if there are none."""
    lines = [f"{name}: {value}" for name, value in fields if value]
    return Block(ElementKind.PARAGRAPH, "\n".join(lines)) if lines else None


def _message_blocks(message: EmailMessage, read_html: BodyReader, read_text: BodyReader, depth: int) -> Iterator[Block]:
    subject = _header(message, "Subject")
    if subject:
        yield Block(ElementKind.HEADING, subject, level=depth)
    if (headers := header_block([(name, _header(message, name)) for name in _HEADERS])) is not None:
        yield headers
    for part in _bodies(message):
        text = _content(part)
        yield from read_html(text) if part.get_content_type() == "text/html" else read_text(text)
    names: list[str] = []
    for part in message.walk():
        if part is not message and part.get_content_type() == "message/rfc822" and depth < _MAX_DEPTH:
            inner = part.get_payload()
            for each in inner if isinstance(inner, list) else []:
                yield from _message_blocks(cast("EmailMessage", each), read_html, read_text, depth + 1)
        elif name := part.get_filename():
            names.append(str(name))
    if names and depth == 1:
        yield Block(ElementKind.PARAGRAPH, "Attachments: " + ", ".join(dict.fromkeys(names)))


def _bodies(message: EmailMessage) -> Iterator[Message]:
    """The parts that make the message's text: of alternatives the richest, of a mixed message all the inline texts."""
    kind = message.get_content_type()
    if kind == "message/rfc822":
        return
    if not message.is_multipart():
        if message.get_content_maintype() == "text" and message.get_content_disposition() != "attachment":
            yield message
        return
    parts = [part for part in message.iter_parts() if isinstance(part, EmailMessage)]
    if kind == "multipart/alternative":
        readable = [part for part in parts if any(True for _ in _bodies(part))]
        rich = [part for part in readable if part.get_content_type() != "text/plain"]
        for part in (rich or readable)[-1:]:
            yield from _bodies(part)
        return
    for part in parts:
        yield from _bodies(part)


def _content(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "replace")
    return decode_text(data, part.get_content_charset())


def _header(message: Message, name: str) -> str:
    try:
        return " ".join(str(message.get(name) or "").split())
    except (
        ValueError,
        IndexError,
        AttributeError,
        TypeError,
    ):  # what the standard library raises on broken headers
        raw = dict(message.raw_items()).get(name, "") if isinstance(message, EmailMessage) else ""
        return " ".join(str(raw).split())


def _is_encrypted(message: EmailMessage) -> bool:
    kinds = {part.get_content_type() for part in message.walk()}
    return bool(kinds & {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"})
