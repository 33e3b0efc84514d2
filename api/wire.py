"""The bodies that requests carry. Unknown fields and wrong types are refused; limits stand in the types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAX_QUESTION = 10_000
MAX_TEXT = 10_000_000

Question = Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION)]
TopK = Annotated[int, Meta(ge=1, le=100)]
Name = Annotated[str, Meta(min_length=1, max_length=63)]
Short = Annotated[str, Meta(max_length=2000)]
Long = Annotated[str, Meta(max_length=50_000)]
GroupList = Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(max_length=200)]
Patterns = Annotated[list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=200)]
Filter = dict[str, Any]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request body."""


class Chunking(Body, frozen=True, omit_defaults=True):
    """How a collection's documents are cut into chunks; what is left out has its default."""

    strategy: Literal["title", "size"] | None = None
    target_tokens: int | None = None
    minimum_tokens: int | None = None
    overlap_tokens: int | None = None
    tables: Literal["rows", "whole"] | None = None


class RankingWeight(Body, frozen=True):
    """Documents that pass ``filter`` have their scores multiplied by ``weight``."""

    filter: Filter
    weight: float


class Ranking(Body, frozen=True, omit_defaults=True):
    """How a collection's results are ranked; what is left out has its default."""

    fusion: Literal["min_max", "reciprocal_rank"] | None = None
    dense_weight: float | None = None
    repeat_factor: float | None = None
    recency_half_life_days: float | None = None
    recency_weight: float | None = None
    recency_field: str | None = None
    weights: Annotated[list[RankingWeight], Meta(max_length=32)] | None = None
    collapse_threshold: float | None = None
    rerank: bool | None = None
    rerank_depth: int | None = None
    rerank_weight: float | None = None
    expand: int | None = None


class NewCollection(Body, frozen=True):
    """``POST /v1/collections``."""

    name: str
    description: Short | None = None
    chunking: Chunking | None = None
    language: str | None = None
    ranking: Ranking | None = None


class CollectionPatch(Body, frozen=True):
    """``PATCH /v1/collections/{name}``: what is left out stays as it is."""

    description: Short | msgspec.UnsetType | None = msgspec.UNSET
    chunking: Chunking | msgspec.UnsetType | None = msgspec.UNSET
    language: str | msgspec.UnsetType | None = msgspec.UNSET
    ranking: Ranking | msgspec.UnsetType | None = msgspec.UNSET


class NewDocument(Body, frozen=True):
    """``PUT …/documents/{external_id}`` with a JSON body: text that is kept to the letter."""

    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    title: Short | None = None
    url: Short | None = None
    metadata: dict[str, Any] | None = None
    allowed_groups: GroupList | None = None
    version: Annotated[str, Meta(max_length=200)] | int | None = None


class NewSource(Body, frozen=True):
    """``POST /v1/collections/{name}/sources``."""

    kind: Literal["directory", "fsspec", "git", "web", "connector"]
    uri: Annotated[str, Meta(min_length=1, max_length=2000)]
    include: Patterns = msgspec.field(default_factory=list)
    exclude: Patterns = msgspec.field(default_factory=list)
    prune: bool = False
    schedule: Annotated[str, Meta(max_length=100)] | None = None
    allowed_groups: GroupList | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class SourcePatch(Body, frozen=True):
    """``PATCH /v1/collections/{name}/sources/{id}``: what is left out stays."""

    include: Patterns | msgspec.UnsetType = msgspec.UNSET
    exclude: Patterns | msgspec.UnsetType = msgspec.UNSET
    prune: bool | msgspec.UnsetType = msgspec.UNSET
    schedule: Annotated[str, Meta(max_length=100)] | msgspec.UnsetType | None = msgspec.UNSET
    allowed_groups: GroupList | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class SearchBody(Body, frozen=True):
    """``POST /v1/search``."""

    query: Question
    collections: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    top_k: TopK = 10
    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    filter: Filter | None = None
    rerank: bool | None = None
    collapse: bool | None = None
    expand: Annotated[int, Meta(ge=0, le=3)] = 0


class ChatTurn(Body, frozen=True):
    """One earlier message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: Long


class AnswerBody(Body, frozen=True):
    """``POST /v1/answer``."""

    question: Question
    messages: Annotated[list[ChatTurn], Meta(max_length=100)] | None = None
    collections: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    filter: Filter | None = None
    top_k: TopK | None = None
    audience: Literal["internal", "customer"] = "internal"
    stream: bool = False


class FeedbackBody(Body, frozen=True):
    """``POST /v1/answers/{id}/feedback``."""

    rating: Literal["up", "down"]
    comment: Long | None = None
    correction: Long | None = None


class VerifyPassage(Body, frozen=True):
    """A passage to verify against, with the caller's own id for it."""

    text: Annotated[str, Meta(max_length=1_000_000)]
    id: Annotated[str, Meta(max_length=200)] | None = None


class VerifyBody(Body, frozen=True):
    """``POST /v1/verify``."""

    answer: Long
    passages: Annotated[list[Annotated[str, Meta(max_length=1_000_000)] | VerifyPassage], Meta(max_length=200)]
    question: Annotated[str, Meta(max_length=MAX_QUESTION)] | None = None


class TicketMessage(Body, frozen=True):
    """One message of a support ticket."""

    author: Literal["customer", "agent"]
    text: Long


class Ticket(Body, frozen=True):
    """A support ticket as the helpdesk has it."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[TicketMessage], Meta(min_length=1, max_length=200)]
    revision: int | Annotated[str, Meta(max_length=64)] | None = None
    subject: Short | None = None


class SuggestionBody(Body, frozen=True):
    """``POST /v1/suggestions``."""

    ticket: Ticket
    audience: Literal["customer", "internal"] = "customer"
    collections: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None


class OutcomeBody(Body, frozen=True):
    """``POST /v1/suggestions/{id}/outcome``."""

    used: Literal["accepted", "edited", "rejected"]
    final_text: Long | None = None


class NewGoldSet(Body, frozen=True):
    """``POST /v1/evals/goldsets``: items in the gold format; a set of the same name is replaced."""

    name: Name
    items: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=100_000)]
    collection: Name = "default"


class NewRun(Body, frozen=True):
    """``POST /v1/evals/runs``."""

    goldset: Name
    collection: Name | None = None
    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    answers: bool | None = None
    baseline: Annotated[str, Meta(max_length=100)] | None = None


class NewKey(Body, frozen=True):
    """``POST /v1/keys``."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: Annotated[list[Literal["search", "answer", "ingest", "eval", "admin", "delegate"]], Meta(min_length=1)] = (
        msgspec.field(default_factory=lambda: ["search", "answer"])
    )
    groups: GroupList = msgspec.field(default_factory=list)


class ChatMessage(msgspec.Struct, frozen=True):
    """A message in OpenAI's shape; fields that we do not use are passed over, as clients send many."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class ChatBody(msgspec.Struct, frozen=True):
    """``POST /v1/chat/completions`` in OpenAI's shape; sampling options are accepted and have no effect."""

    model: str
    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=500)]
    stream: bool = False
    stream_options: dict[str, Any] | None = None
