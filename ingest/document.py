"""A document on its way in: what the caller sent, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.errors import FieldError, InvalidInput

MAX_EXTERNAL_ID = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the caller says about a document, beside its content."""

    title: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    allowed_groups: Sequence[str] | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentInput:
    """A document to store under ``external_id``.

    Exactly one of ``text`` (kept verbatim as the extracted text), ``data`` (a file's bytes) and ``path`` (a file) is given.
    ``filename`` and ``content_type`` help to tell the file's format.
    """

    external_id: str
    text: str | None = None
    data: bytes | None = None
    path: Path | None = None
    filename: str | None = None
    content_type: str | None = None
    attributes: Attributes = Attributes()


class Outcome(StrEnum):
    """What became of a document; the names are those of a job's counts."""

    NEW = "new"
    MODIFIED = "modified"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ingested:
    """The outcome for one document; a failure says why, and leaves an older version in place."""

    external_id: str
    outcome: Outcome
    document_id: str | None = None
    version: int = 0
    code: str | None = None
    detail: str | None = None

    def failure(self) -> dict[str, str | None]:
        """A failed document as a job lists it."""
        return {"external_id": self.external_id, "code": self.code, "detail": self.detail}


def check_external_id(external_id: str) -> str:
    """Return ``external_id``, or raise ``InvalidInput`` if it cannot name a document."""
    if not external_id or len(external_id) > MAX_EXTERNAL_ID or _CONTROL.search(external_id):
        message = f"an external_id has 1 to {MAX_EXTERNAL_ID} characters and no control characters"
        raise InvalidInput(
            f"Bad external_id: {message}.", code="invalid_external_id", errors=(FieldError("external_id", message),)
        )
    return external_id
