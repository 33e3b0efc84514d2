"""What a verifier says of an answer: one verdict a sentence, each pointing to the characters that prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """``uncheckable`` is for sentences that claim nothing about the documents: greetings, questions, "not knowing."""

    SUPPORTED = "supported"
    UNSUPPORTED = "unsupported"
    UNCHECKABLE = "uncheckable"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Characters ``[start:end]`` of passage number ``passage`` (0-based) that prove (or best match) a sentence."""

    passage: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """The verdict on characters ``[start:end]`` of the answer.

    ``score`` is in 0..1, higher = better supported. ``evidence`` is best first and empty unless supported. ``reason``
    says for a person why a sentence is not supported ("the number 3.75 is not in the passages").
    """

    text: str
    start: int
    end: int
    verdict: Verdict
    score: float
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """``score`` in 0..1 is the response's: higher = better supported. ``truncated``: some text was not looked at."""

    score: float
    sentences: tuple[SentenceVerdict, ...]
    truncated: bool = False


class Verifier(Protocol):
    """Judges an answer against passages; the same one runs when answering, on /v1/verify and in the evals.

    Deterministic: same input, same output. Citation marks such as ``[1]`` in the answer are no claim: they are kept in
    ranges' arithmetic but not judged. An empty answer has score 0.0 and no sentences; with no passages every checkable
    sentence is unsupported.
    """

    @property
    def name(self) -> str:
        """Name and version, recorded with each answer."""
        ...

    def verify(self, answer: str, passages: Sequence[str], question: str | None = None) -> Verification:
        """Judge ``answer`` against ``passages`` (full texts, any length)."""
        ...
