"""JSON bodies: decoded straight into their type, strictly, with an error that names the field.

The framework's own way decodes to plain values first and then takes ``"3"`` for a number and ``"null"`` for nothing.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import ValidationException

from infra.errors import InvalidInput

_NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]+)`")
_T = TypeVar("_T")


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body has the type that its handler declares."""

    async def json(self) -> Any:
        """The body; raises as ``decode`` does."""
        field = self.route_handler.parsed_data_field
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, msgspec.Struct):
            return await super().json()
        return decode(await self.body(), field.annotation)


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
