"""What a reader is told beside the file: the operator's choices, and how deep in other files this one lies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Context:
    """``ocr`` names Tesseract's languages (``eng+deu``) if pictures are read; ``depth`` is 1 for the file that was sent."""

    ocr: str | None = None
    depth: int = 1
