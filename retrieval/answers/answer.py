"""The answer object of the contract, as values: msgspec encodes these dataclasses to the wire as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from retrieval.verify.verification import Verdict


class Status(StrEnum):
    """``partial``: some sentences are unproven, and marked so."""

    ANSWERED = "answered"
    PARTIAL = "partial"
    ABSTAINED = "abstained"


class Reason(StrEnum):
    """Why an answer abstains."""

    NO_EVIDENCE = "no_evidence"
    LOW_GROUNDING = "low_grounding"
    CONFLICTING_SOURCES = "conflicting_sources"
    GENERATOR_UNAVAILABLE = "generator_unavailable"


@dataclass(frozen=True, slots=True)
class CitedDocument:
    """The document version that a citation quotes."""

    id: str
    external_id: str
    version: int
    title: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Citation:
    """Footnote ``n``: ``quote`` equals the version's extracted text at ``[char_start:char_end]``."""

    n: int
    chunk_id: str
    document: CitedDocument
    heading_path: tuple[str, ...]
    page: int | None
    char_start: int
    char_end: int
    quote: str


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """Characters ``[start:end]`` of the answer, the verdict on them and the numbers of the citations that prove them."""

    text: str
    start: int
    end: int
    verdict: Verdict
    score: float
    citations: tuple[int, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Grounding:
    """How much of an answer is proven: counts of sentences by verdict, and the response's score in 0..1."""

    score: float
    sentences: int
    supported: int
    unsupported: int
    uncheckable: int


@dataclass(frozen=True, slots=True)
class GeneratorInfo:
    """Who wrote the draft: ``kind`` is ``extractive``, ``openai`` or ``tgi``."""

    kind: str
    model: str | None


@dataclass(frozen=True, slots=True)
class VerifierInfo:
    """Who checked it, and whether some text was not looked at."""

    name: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class IndexState:
    """Which state of the index was asked."""

    generation: int
    seq: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered (or declined) question. ``timings_ms`` are milliseconds by step, and ``total``."""

    id: str
    status: Status
    reason: Reason | None
    answer: str
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    grounding: Grounding
    generator: GeneratorInfo
    verifier: VerifierInfo
    index: IndexState
    timings_ms: Mapping[str, float]
    degraded: tuple[str, ...] = ()
    question: str = ""
    detail: str | None = None
