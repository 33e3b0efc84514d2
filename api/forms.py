"""Forms with files: each file goes to the spool as it arrives, and is written once.

The framework's own reader keeps text fields of any size in memory and files in the system's temporary folder, which may be a disk
in memory, until all have come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from api.uploads import UploadStream
from infra.errors import InvalidInput, TooLarge
from ingest.document import check_external_id
from ingest.spool import Spool

MAX_PARTS = 10_000
_MAX_FIELD = 2**20


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form: its name there, its media type, and the name of its bytes in the spool."""

    name: str
    content_type: str
    blob: str


@dataclass(frozen=True, slots=True)
class Form:
    """What a form held, in its order."""

    files: list[FormFile] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)


async def read_form(
    content_type: str, pieces: AsyncIterator[bytes], spool: Spool, limit: int, allowed: Collection[str]
) -> Form:
    """Read a form whose files are in fields named ``files``, and whose other fields are among ``allowed``.

    Raises ``InvalidInput`` for what is no such form, ``TooLarge`` for a file over ``limit`` bytes or too many parts, and as the
    spool does; then none of its files is kept. Each file's name must be a valid external id, and differ from the others'.
    """
    reader = _Reader(spool, limit, allowed)
    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        with PushMultipartParser(boundary, max_segment_count=MAX_PARTS) as parser:
            async for piece in pieces:
                if not piece or parser.closed:
                    continue
                for part in parser.parse(piece):
                    await reader.take(part)
        return reader.form
    except ParserLimitReached:
        await reader.drop()
        raise TooLarge(
            f"A form has at most {MAX_PARTS} parts, each with a few short headers: send the files in several forms."
        ) from None
    except MultipartError:
        await reader.drop()
        raise InvalidInput("The request body is not valid multipart/form-data.", code="invalid_form") from None
    except BaseException:
        await reader.drop()
        raise


class _Reader:
    """Takes the parser's parts: a header, then pieces of a body, then ``None``."""

    def __init__(self, spool: Spool, limit: int, allowed: Collection[str]) -> None:
        self.form = Form()
        self._spool, self._limit, self._allowed = spool, limit, allowed
        self._names: set[str] = set()
        self._segment: MultipartSegment | None = None
        self._open = AsyncExitStack()
        self._upload: UploadStream | None = None
        self._text = bytearray()

    async def take(self, part: MultipartSegment | bytearray | None) -> None:
        if isinstance(part, MultipartSegment):
            await self._begin(part)
        elif part is None:
            await self._end()
        elif self._upload is not None:
            await self._upload.write(bytes(part))
        else:
            self._text += part
            if len(self._text) > _MAX_FIELD:
                raise TooLarge(f"A form's text field has at most {_MAX_FIELD // 2**20} MiB.")

    async def _begin(self, segment: MultipartSegment) -> None:
        name = segment.name or ""
        if name != "files" and name not in self._allowed:
            allowed = ", ".join(("files", *self._allowed))
            raise InvalidInput(f"Unknown form field {name!r}; allowed: {allowed}.")
        self._segment, self._text = segment, bytearray()
        if name != "files" or not segment.filename:
            return
        identifier = check_external_id(segment.filename)
        if identifier in self._names:
            raise InvalidInput(f"Two files are named {identifier!r}: names must differ.", code="duplicate_file_name")
        self._names.add(identifier)
        self._upload = await self._open.enter_async_context(UploadStream(self._spool, self._limit))

    async def _end(self) -> None:
        segment, upload = self._segment, self._upload
        if segment is None:
            raise MultipartError("a part without a header")
        if upload is not None:
            blob = await upload.keep()
            self._open.pop_all()
            self._upload = None
            kind = segment.content_type or "text/plain"
            self.form.files.append(FormFile(str(segment.filename), kind, blob))
        else:
            try:
                text = self._text.decode(segment.charset or "utf-8")
            except (UnicodeDecodeError, LookupError):
                raise InvalidInput(f"The form field {segment.name!r} is not text.", code="invalid_form") from None
            self.form.fields.setdefault(str(segment.name), []).append(text)
        self._segment = None

    async def drop(self) -> None:
        await self._open.aclose()
        self._spool.remove([file.blob for file in self.form.files])
