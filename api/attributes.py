"""A document's attributes as they come in queries and forms: text that holds lists and objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from infra.errors import FieldError, InvalidInput
from ingest.document import Attributes


def groups_of(values: Sequence[str]) -> list[str]:
    """Groups from query or form values: repeated, comma-separated or a JSON list; an empty value is an empty list."""
    if len(values) == 1 and values[0].lstrip().startswith("["):
        try:
            return msgspec.json.decode(values[0].encode(), type=list[str])
        except msgspec.DecodeError:
            raise InvalidInput("allowed_groups is not a JSON list of strings.", code="invalid_groups") from None
    return [group.strip() for value in values for group in value.split(",") if group.strip()]


def metadata_of(raw: Any) -> dict[str, Any]:
    """Metadata from a query or form value: a JSON object; raises ``InvalidInput``."""
    if raw is None:
        return {}
    try:
        decoded = msgspec.json.decode(raw.encode()) if isinstance(raw, str) else raw
    except (msgspec.DecodeError, UnicodeEncodeError):
        decoded = None
    if not isinstance(decoded, dict):
        message = "must be one JSON object"
        raise InvalidInput(f"metadata {message}.", errors=(FieldError("metadata", message),))
    return decoded


def form_attributes(metadata: Sequence[str], groups: Sequence[str]) -> Attributes:
    """The attributes that a form gives to each of its files."""
    return Attributes(
        metadata=metadata_of(metadata[0] if metadata else None), allowed_groups=groups_of(groups) if groups else None
    )
