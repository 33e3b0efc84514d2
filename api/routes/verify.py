"""``POST /v1/verify``."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.caller import Caller
from api.services import Services
from api.wire import VerifyBody
from retrieval.verify.verification import Verification


@post("/v1/verify", sync_to_thread=True, status_code=200, summary="Verify an answer")
def verify(
    data: JSONBody[VerifyBody], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Judge any text against given passages, with the verifier that checks every answer."""
    caller.require("answer")
    texts = [passage if isinstance(passage, str) else passage.text for passage in data.passages]
    ids = [None if isinstance(passage, str) else passage.id for passage in data.passages]
    result = services.engine.verifier.verify(data.answer, texts, data.question)
    return {**verification_body(result, texts, ids), "verifier": services.engine.verifier.name}


def verification_body(result: Verification, texts: list[str], ids: list[str | None]) -> dict[str, Any]:
    """A verification as callers see it."""
    return {
        "score": round(result.score, 4),
        "sentences": [
            {
                "text": sentence.text,
                "start": sentence.start,
                "end": sentence.end,
                "verdict": sentence.verdict.value,
                "score": round(sentence.score, 4),
                "reason": sentence.reason,
                "evidence": [
                    {
                        "passage": evidence.passage,
                        "id": ids[evidence.passage],
                        "char_start": evidence.start,
                        "char_end": evidence.end,
                        "quote": texts[evidence.passage][evidence.start : evidence.end],
                    }
                    for evidence in sentence.evidence
                ],
            }
            for sentence in result.sentences
        ],
        "truncated": result.truncated,
    }


HANDLERS = [verify]
