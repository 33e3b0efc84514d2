"""Outlook messages: the headers a person reads, the body, and what is attached to it.

Read with python-oxmsg, which the parsing library uses for them too: it reads neither attached messages nor their
attachments.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from olefile import OleFileIO
from oxmsg import Message
from oxmsg.attachment import Attachment as OutlookFile
from oxmsg.properties import Properties
from oxmsg.recipient import Recipient
from oxmsg.storage import Storage

from infra.errors import Unprocessable
from ingest.attachment import MAX_DEPTH, Attachment, attachment_blocks, nested, plain_name, too_deep
from ingest.block import Block
from ingest.decode import decode_text
from ingest.elements import ElementKind
from ingest.mail import MailReaders, header_block

# Numbers of properties, as listed in [MS-OXPROPS].
_RECIPIENT_TYPE = 0x0C15
_TO, _CC = 1, 2
_BODY_HTML = 0x1013
_SHORT_FILE_NAME = 0x3704
_CONTENT_ID = 0x3712
_ATTACHED_MESSAGE = "__substg1.0_3701000D"
_ATTACHED_HEADER = 24  # bytes before the properties of an attached message ([MS-OXMSG] 2.4.1.2); 32 for a file's


class AttachedMessage(Message):
    """A message within a message, whose properties begin elsewhere: a case that the library leaves out."""

    @property
    def properties(self) -> Properties:
        """The message's properties."""
        return Properties(self._storage, properties_header_offset=_ATTACHED_HEADER)


def read_msg(data: bytes, readers: MailReaders, depth: int) -> tuple[list[Block], str | None]:
    """Return the blocks of an Outlook message, and its subject.

    Raises ``Unprocessable`` (``encrypted``) for an encrypted body; whatever the library raises on a damaged file.
    """
    with OleFileIO(io.BytesIO(data)) as container:
        storage = Storage.from_ole(container)
    message = Message(storage)
    blocks = list(_message_blocks(message, storage, readers, depth))
    secret = "encrypted" in message.message_headers.get("Content-Type", "") or "SMIME" in message.message_class.upper()
    if secret and not (message.body or message.html_body):
        raise Unprocessable("The e-mail is encrypted: send its readable text instead.", code="encrypted")
    return blocks, message.subject or None


def _message_blocks(message: Message, storage: Storage, readers: MailReaders, depth: int) -> Iterator[Block]:
    if message.subject:
        yield Block(ElementKind.HEADING, message.subject, level=1)
    sent = message.sent_date
    head = header_block(
        [
            ("From", message.sender or ""),
            ("To", _recipients(message, _TO)),
            ("Cc", _recipients(message, _CC)),
            ("Date", sent.isoformat(" ", "minutes") if sent is not None else ""),
        ]
    )
    if head is not None:
        yield head
    if markup := _html(message):
        yield from readers.html(markup)
    elif message.body:
        yield from readers.text(message.body)
    files: list[Attachment] = []
    for attached in storage.iter_attachment_storages():
        inner = next((each for each in attached.storages if each.name == _ATTACHED_MESSAGE), None)
        if inner is None:
            files += _file(attached)
        elif depth >= MAX_DEPTH:
            yield too_deep("a message")
        else:
            yield from nested(_message_blocks(AttachedMessage(inner), inner, readers, depth + 1), 1)
    yield from attachment_blocks(files, readers.attachment, depth)


def _html(message: Message) -> str:
    """The body as HTML. Its bytes say their encoding themselves; the property that should is often wrong or absent."""
    data = message.properties.binary_prop_value(_BODY_HTML)
    return decode_text(data) if data else message.properties.str_prop_value(_BODY_HTML) or ""


def _recipients(message: Message, kind: int) -> str:
    return ", ".join(
        _address(each)
        for each in message.recipients
        if (each.properties.int_prop_value(_RECIPIENT_TYPE) or _TO) == kind and (each.name or each.email_address)
    )


def _address(recipient: Recipient) -> str:
    name, address = recipient.name.strip("'\" "), recipient.email_address
    return f"{name} <{address}>" if name and address and name != address else address or name


def _file(storage: Storage) -> Iterator[Attachment]:
    file = OutlookFile(storage)
    if not file.file_bytes:
        return
    name = file.file_name or file.properties.str_prop_value(_SHORT_FILE_NAME) or "unnamed"
    shown = bool(file.properties.str_prop_value(_CONTENT_ID))  # the id that the body shows a picture by
    yield Attachment(plain_name(name), file.mime_type or "", file.file_bytes, inline=shown)
