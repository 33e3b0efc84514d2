"""What is left of a stored answer when a document that it quotes is deleted."""

from __future__ import annotations

import json

from retrieval.redaction import REDACTED, redact

BODY = {
    "id": "ans_1",
    "status": "answered",
    "answer": "Hidden fact [1].",
    "sentences": [
        {
            "text": "Hidden fact [1].",
            "start": 0,
            "end": 16,
            "verdict": "supported",
            "score": 0.9,
            "citations": [1],
            "reason": "Hidden word",
        }
    ],
    "citations": [
        {
            "n": 1,
            "chunk_id": "chk_1",
            "quote": "Hidden fact",
            "heading_path": ["Hidden"],
            "page": 1,
            "char_start": 0,
            "char_end": 11,
            "document": {
                "id": "doc_1",
                "external_id": "a",
                "version": 1,
                "title": "Hidden",
                "url": "https://hidden/Hidden",
            },
        }
    ],
    "grounding": {"score": 0.9},
}


def test_no_text_stays_and_every_verdict_does() -> None:
    before = json.dumps(BODY)
    body = redact(BODY)
    assert "Hidden" not in json.dumps(body)
    assert body["answer"] == REDACTED
    assert body["redacted"] is True
    (sentence,) = body["sentences"]
    assert (sentence["verdict"], sentence["score"], sentence["citations"]) == ("supported", 0.9, [1])
    (citation,) = body["citations"]
    assert (citation["n"], citation["document"]["id"], citation["char_end"]) == (1, "doc_1", 11)
    assert (body["id"], body["status"], body["grounding"]) == ("ans_1", "answered", {"score": 0.9})
    assert json.dumps(BODY) == before, "the original is not touched"
    assert redact(body) == body
