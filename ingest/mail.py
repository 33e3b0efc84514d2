"""E-mails: the headers a person reads, the body, and what is attached to it."""

from __future__ import annotations

import email
import email.policy
import mimetypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage, Message

from infra.errors import Unprocessable
from ingest.attachment import MAX_DEPTH, Attachment, ReadAttachment, attachment_blocks, nested, plain_name, too_deep
from ingest.block import Block
from ingest.decode import decode_text
from ingest.elements import ElementKind

_HEADERS = ("From", "To", "Cc", "Date")


@dataclass(frozen=True, slots=True)
class MailReaders:
    """How the parts of a message are read: a body in HTML, one in plain text, an attached file."""

    html: Callable[[str], list[Block]]
    text: Callable[[str], list[Block]]
    attachment: ReadAttachment


def read_mail(data: bytes, readers: MailReaders, depth: int) -> tuple[list[Block], str | None]:
    """Return the blocks of an RFC 5322 message, and its subject.

    Of two alternatives the HTML one is read: it keeps tables and lists. ``depth`` counts the files that the
    message lies in, itself included. Raises ``Unprocessable``: ``malformed`` for bytes without mail headers,
    ``encrypted`` for an encrypted body.
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in data[:64]:
        data = decode_text(data).encode("utf-8")  # a message saved as UTF-16 by an editor
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not message.keys():
        raise Unprocessable("The file is called an e-mail, but has no mail headers.", code="malformed")
    if _is_encrypted(message) and not any(_content(part).strip() for part in _bodies(message)):
        raise Unprocessable("The e-mail is encrypted: send its readable text instead.", code="encrypted")
    return list(_message_blocks(message, readers, depth)), _header(message, "Subject")


def header_block(fields: list[tuple[str, str]]) -> Block | None:
    """The lines ``From: …``, ``To: …`` as one paragraph; None if there are none."""
    lines = [f"{name}: {value}" for name, value in fields if value]
    return Block(ElementKind.PARAGRAPH, "\n".join(lines)) if lines else None


def _message_blocks(message: EmailMessage, readers: MailReaders, depth: int) -> Iterator[Block]:
    subject = _header(message, "Subject")
    if subject:
        yield Block(ElementKind.HEADING, subject, level=1)
    if (headers := header_block([(name, _header(message, name)) for name in _HEADERS])) is not None:
        yield headers
    bodies = list(_bodies(message))
    for part in bodies:
        text = _content(part)
        yield from readers.html(text) if part.get_content_type() == "text/html" else readers.text(text)
    attachments: list[Attachment] = []
    for part, inline in _others(message, {id(part) for part in bodies}):
        inner = part.get_payload() if part.get_content_type() == "message/rfc822" else None
        if isinstance(inner, list):
            for each in inner:
                if not isinstance(each, EmailMessage):
                    continue
                if depth >= MAX_DEPTH:
                    yield too_deep(_header(each, "Subject") or "a message")
                else:
                    yield from nested(_message_blocks(each, readers, depth + 1), 1)
        elif part.get_content_maintype() != "message":
            attachments.append(Attachment(_name(part), part.get_content_type(), _payload(part), inline))
    yield from attachment_blocks(attachments, readers.attachment, depth)


def _others(message: EmailMessage, bodies: set[int], inline: bool = False) -> Iterator[tuple[Message, bool]]:
    """The parts that are not the message's text, each with whether the text shows it, as it does a logo."""
    if message.is_multipart() and message.get_content_type() != "message/rfc822":
        inline = inline or message.get_content_type() == "multipart/related"
        for part in message.iter_parts():
            if isinstance(part, EmailMessage):
                yield from _others(part, bodies, inline)
        return
    disposition = message.get_content_disposition()
    another_way = (
        message.get_content_maintype() == "text" and not message.get_filename() and disposition != "attachment"
    )
    if id(message) not in bodies and not another_way:
        shown = disposition == "inline" or (disposition is None and message.get("Content-ID") is not None)
        yield message, inline or shown


def _name(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, IndexError, AttributeError, TypeError):  # as for any broken header
        name = None
    return plain_name(str(name or f"unnamed{mimetypes.guess_extension(part.get_content_type()) or ''}"))


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
    return decode_text(_payload(part), part.get_content_charset())


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "replace")


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
