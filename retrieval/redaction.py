"""What is left of a stored answer when a document that it quotes is deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted: a cited document was deleted]"


def redact(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer object without any text that came from documents; verdicts, scores and references stay."""
    result = dict(body)
    result["answer"] = REDACTED
    result["sentences"] = [{**s, "text": "", "start": 0, "end": 0, "reason": None} for s in body.get("sentences", [])]
    result["citations"] = [
        {**c, "quote": "", "heading_path": [], "document": {**c["document"], "title": None, "url": None}}
        for c in body.get("citations", [])
    ]
    result["redacted"] = True
    return result
