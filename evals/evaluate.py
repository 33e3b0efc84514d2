"""One evaluation from gold set to verdict, stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from evals.compare import Difference, compare
from evals.gate import Gate, check, check_baseline, verdict
from evals.gold import GoldItem
from evals.result import ItemResult, RunResult
from evals.run import MODES, RunPlan, asks_answers, run_items
from evals.store import LAST, beat, begin_run, fail_run, finish_run, load_goldset, load_run
from evals.subject import Subject
from evals.summary import by_kind, status_table, summarise
from infra.clock import iso, now
from infra.database import Database
from infra.errors import InvalidInput, NotFound

SEED = 0
_BEAT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Request:
    """What to evaluate.

    ``None``: the gold set's own collection; answers where the gold says anything of them; no baseline; no
    gate.
    """

    goldset: str
    collection: str | None = None
    mode: str = "hybrid"
    answers: bool | None = None
    baseline: str | None = None
    gate: Gate | None = None
    limit: int | None = None
    concurrency: int = 1


async def evaluate(
    database: Database,
    subject: Subject,
    request: Request,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    started_as: Callable[[str], None] = lambda _run: None,
) -> RunResult:
    """Run, score, judge and store; ``progress`` gets items done and in all, ``started_as`` the run's id.

    Raises ``NotFound`` for an unknown gold set, collection or baseline, and ``InvalidInput`` for an unknown
    mode. A baseline ``last`` that does not exist yet is a note, so that the first of many nightly runs can
    be like the others.
    """
    if request.mode not in MODES:
        raise InvalidInput(f"mode is {request.mode!r}; allowed: {', '.join(MODES)}.", code="bad_mode")
    notes: list[str] = []
    with database.read() as session:
        own, items = load_goldset(session, request.goldset)
        try:
            baseline = load_run(session, request.baseline, goldset=request.goldset) if request.baseline else None
        except NotFound:
            if request.baseline != LAST:
                raise
            baseline = None
            notes.append("no run of this gold set has passed yet, so there is no baseline")
    if request.limit is not None and request.limit < len(items):
        notes.append(f"only the first {request.limit} of {len(items)} items were run")
        items = items[: request.limit]
    answers = asks_answers(items) if request.answers is None else request.answers
    if not answers:
        notes.append(
            "search only, as was asked for"
            if request.answers is False
            else "search only: the gold set judges documents and says nothing of answers"
        )
    plan = RunPlan(request.collection or own, request.mode, answers, request.concurrency)
    started = now()
    with database.write() as session:
        run_id = begin_run(session, request.goldset, plan.collection, {"mode": plan.mode})
    started_as(run_id)
    done, beaten = 0, started

    def step() -> None:
        nonlocal done, beaten
        done += 1
        if now() - beaten > _BEAT:
            beaten = now()
            with database.write() as session:
                beat(session, run_id)
        progress(done, len(items))

    try:
        trial = await run_items(subject, items, plan, step)
    except BaseException:  # recorded and raised again, also when interrupted
        with database.write() as session:
            fail_run(session, run_id)
        raise
    config: dict[str, Any] = {
        "mode": plan.mode,
        "answers": plan.answers,
        "latency_of": "answer" if plan.answers else "search",
        "concurrency": plan.concurrency,
        "seed": SEED,
        **trial.config,
    }
    result = RunResult(
        run=run_id,
        goldset=request.goldset,
        collection=plan.collection,
        verdict="PASS",
        metrics=summarise(trial.items, seed=SEED),
        table=status_table(trial.items),
        kinds=by_kind(trial.items),
        counts=_counts(items, trial.items),
        config=config,
        problems=trial.problems,
        notes=(*notes, *trial.notes),
        baseline=baseline.run if baseline else None,
        started_at=iso(started) or "",
        finished_at=iso(now()) or "",
        items=trial.items,
    )
    result = _judge(result, request.gate, baseline)
    with database.write() as session:
        finish_run(session, result)
    return result


def _judge(result: RunResult, gate: Gate | None, baseline: RunResult | None) -> RunResult:
    changes: dict[str, Difference] | None = None
    notes, problems = result.notes, result.problems
    if baseline is not None:
        compared = compare(baseline, result, seed=SEED)
        changes, notes = compared.metrics, (*notes, *compared.notes)
        if not compared.items:
            problems = (*problems, f"the baseline {baseline.run} has no items in common with this run")
    if not set(result.metrics) - {"latency_p95_ms"}:
        problems = (*problems, "nothing could be measured: no item has evidence, facts or an answer to judge")
    checks = check_baseline(changes or {}) if gate is None else check(gate, result.metrics, changes)
    return msgspec.structs.replace(
        result, checks=checks, notes=notes, problems=problems, verdict=verdict(problems, checks)
    )


def _counts(items: Sequence[GoldItem], results: Sequence[ItemResult]) -> dict[str, int]:
    answerable = sum(item.answerable for item in items)
    return {
        "items": len(items),
        "answerable": answerable,
        "unanswerable": len(items) - answerable,
        "searched": sum("ndcg@10" in result.scores for result in results),
        "asked": sum(result.status is not None for result in results),
        "failed": sum(result.error is not None for result in results),
    }
