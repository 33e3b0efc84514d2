"""JSON bodies: decoded straight into their type, strictly, with an error that names the field.

The framework's own way decodes to plain values first and then takes ``"3"`` for a number and ``"null"`` for nothing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import ValidationException
from litestar.types.empty import Empty

from infra.errors import Busy, InvalidInput, TooLarge

# A text of 10 million characters fits, even with each written as an escape of six bytes.
MAX_JSON = 64 * 2**20
# All JSON bodies that are being received by one process hold at most so much memory.
_MAX_RECEIVED = 4 * MAX_JSON
_NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]+)`")
_T = TypeVar("_T")


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body has the type that its handler declares, and a bounded size."""

    async def body(self) -> bytes:
        """The whole body; raises ``TooLarge`` over ``MAX_JSON`` bytes. What may be larger is read by ``stream``."""
        if self._body is Empty:
            kept = self._connection_state.body
            self._body = await read_whole(self.stream()) if kept is Empty else kept
            self._connection_state.body = self._body
        return self._body

    async def json(self) -> Any:
        """The body; raises as ``decode`` does."""
        field = self.route_handler.parsed_data_field
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, msgspec.Struct):
            return await super().json()
        return decode(await self.body(), field.annotation)


async def read_whole(pieces: AsyncIterator[bytes]) -> bytes:
    """Join ``pieces``; raises ``TooLarge`` over ``MAX_JSON`` bytes, and ``Busy`` if others hold the memory for bodies."""
    global _received  # noqa: PLW0603 - of the process, as its memory is
    found: list[bytes] = []
    size = 0
    try:
        async for piece in pieces:
            size += len(piece)
            _received += len(piece)
            if size > MAX_JSON:
                raise TooLarge(f"A JSON body has at most {MAX_JSON // 2**20} MiB: send larger documents as files.")
            if _received > _MAX_RECEIVED:
                raise Busy("Too many large requests are being received: send this again later.", code="too_many_bodies")
            found.append(piece)
        return b"".join(found)
    finally:
        _received -= size


_received = 0


def decode(raw: bytes, kind: type[_T]) -> _T:
    """Read ``raw`` as JSON of type ``kind``; raises ``ValidationException`` for a wrong field, ``InvalidInput`` for no JSON."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        if named := _NAMED.search(message):
            field = f"{field}.{named.group(1)}".lstrip(".")
        raise ValidationException("invalid", extra=[{"message": message, "key": field}]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidInput("The request body is not valid JSON in UTF-8.", code="invalid_json") from None
