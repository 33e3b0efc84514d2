"""What a run leaves behind: one record an item, and the run's own."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

RunVerdict = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]
EXIT_CODES: dict[str, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "INVALID": 3}


class MetricValue(msgspec.Struct, frozen=True):
    """A metric over ``n`` items with its 95 % interval and minimum detectable effect."""

    value: float
    ci: tuple[float, float]
    n: int
    mde: float


class Retrieved(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the first results of an item's search, and whether it shows gold evidence."""

    external_id: str
    score: float
    hit: bool
    char_start: int | None = None
    char_end: int | None = None
    page: int | None = None


class ItemResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item of a run.

    ``gold`` is the item as it was asked; ``answer`` is the answer object, shortened to what a report shows.
    """

    id: str
    gold: dict[str, Any]
    scores: dict[str, float]
    retrieved: tuple[Retrieved, ...] = ()
    status: str | None = None
    reason: str | None = None
    answer: dict[str, Any] | None = None
    error: str | None = None
    problems: tuple[str, ...] = ()


class Check(msgspec.Struct, frozen=True):
    """One rule of a gate and how it came out: ``sentence`` says it for a person."""

    metric: str
    rule: str
    outcome: str
    sentence: str


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run.

    ``table`` counts statuses by answerability; ``problems`` make it INVALID; ``notes`` are worth knowing.
    """

    run: str
    goldset: str
    collection: str
    verdict: RunVerdict
    metrics: dict[str, MetricValue]
    table: dict[str, dict[str, int]]
    kinds: dict[str, dict[str, float]]
    counts: dict[str, int]
    config: dict[str, Any]
    checks: tuple[Check, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    baseline: str | None = None
    started_at: str
    finished_at: str
    items: tuple[ItemResult, ...] = ()

    def summary(self) -> dict[str, Any]:
        """The run as JSON without its items: what ``--json`` prints."""
        body = to_builtins(self)
        del body["items"]
        return body


def to_builtins(result: RunResult) -> dict[str, Any]:
    """The run as JSON values, items and all; ``from_builtins`` reads it back."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(result))
    return body


def from_builtins(body: dict[str, Any]) -> RunResult:
    """A stored run."""
    return msgspec.convert(body, RunResult)
