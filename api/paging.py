"""Lists in pages: ``?limit=&cursor=`` in, ``{items, next_cursor}`` out."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from litestar.params import QueryParameter

from infra.errors import FieldError, InvalidInput

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Items a page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]


def encode_cursor(key: str) -> str:
    """An opaque cursor that stands after ``key``."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """The key that a cursor stands after; raises ``InvalidInput`` for one that we did not make."""
    if cursor is None:
        return None
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        message = "pass next_cursor of the page before, unchanged"
        raise InvalidInput(
            f"Bad cursor: {message}.", code="invalid_cursor", errors=(FieldError("cursor", message),)
        ) from None


def page(items: list[dict[str, Any]], last_key: str | None) -> dict[str, Any]:
    """A page; ``last_key`` is the key of its last item if more may follow."""
    return {"items": items, "next_cursor": None if last_key is None else encode_cursor(last_key)}
