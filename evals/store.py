"""Gold sets and runs in the database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from evals.gold import GoldItem, item_from, to_body
from evals.result import RunResult, from_builtins, to_builtins
from infra import tables
from infra.clock import in_utc, now
from infra.errors import InvalidInput, NotFound
from infra.ids import new_id
from infra.owner import is_gone, owner_name

LAST = "last"
# A run on another host is given up when no item of it was done for so long.
_SILENT = timedelta(minutes=30)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_name(name: str) -> str:
    """A gold set's name follows the rule for collections; raises ``InvalidInput``."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is not a valid name: use 1 to 63 of a-z, 0-9 and -, not starting with -.",
            code="bad_name",
        )
    return name


def save_goldset(session: Session, name: str, collection: str, items: Sequence[GoldItem]) -> bool:
    """Store a gold set, replacing one of the same name; returns whether there was one. Its runs stay."""
    known = session.scalar(select(tables.GoldSet).where(tables.GoldSet.name == check_name(name)))
    if known is None:
        goldset_id = new_id("gold")
        session.add(tables.GoldSet(id=goldset_id, name=name, collection=collection, created_at=now()))
        session.flush()
    else:
        goldset_id, known.collection = known.id, collection
        session.execute(delete(tables.GoldItem).where(tables.GoldItem.goldset_id == goldset_id))
    rows = [
        {"goldset_id": goldset_id, "ordinal": ordinal, "item_id": item.id, "body": to_body(item)}
        for ordinal, item in enumerate(items)
    ]
    if rows:
        session.execute(insert(tables.GoldItem), rows)
    return known is not None


def load_goldset(session: Session, name: str) -> tuple[str, list[GoldItem]]:
    """The collection that a gold set asks about, and its items.

    Raises ``NotFound``, naming those that exist.
    """
    goldset = session.scalar(select(tables.GoldSet).where(tables.GoldSet.name == name))
    if goldset is None:
        names = session.scalars(select(tables.GoldSet.name).order_by(tables.GoldSet.name)).all()
        known = f"there are: {', '.join(names)}" if names else "none was imported yet"
        raise NotFound(f"There is no gold set {name!r}; {known}.", code="goldset_not_found")
    bodies = session.scalars(
        select(tables.GoldItem.body).where(tables.GoldItem.goldset_id == goldset.id).order_by(tables.GoldItem.ordinal)
    ).all()
    return goldset.collection, [item_from(body, f"gold set {name}") for body in bodies]


def begin_run(session: Session, goldset: str, collection: str, config: dict[str, Any]) -> str:
    """Record that a run has started; returns its id."""
    run_id = new_id("run")
    session.add(
        tables.EvalRun(
            id=run_id,
            goldset=goldset,
            collection=collection,
            config=config,
            status="running",
            owner=owner_name(),
            heartbeat_at=now(),
            result=None,
            verdict=None,
            created_at=now(),
            finished_at=None,
        )
    )
    return run_id


def beat(session: Session, run_id: str) -> None:
    """Record that a run goes on."""
    session.get_one(tables.EvalRun, run_id).heartbeat_at = now()


def is_abandoned(run: tables.EvalRun) -> bool:
    """Whether a run is recorded as running while its process has died."""
    if run.status != "running":
        return False
    gone = None if run.owner is None else is_gone(run.owner)
    return now() - in_utc(run.heartbeat_at or run.created_at) > _SILENT if gone is None else gone


def fail_abandoned(session: Session) -> None:
    """Record the runs whose process has died as failed."""
    for row in session.scalars(select(tables.EvalRun).where(tables.EvalRun.status == "running")):
        if is_abandoned(row):
            row.status, row.finished_at = "failed", now()


def finish_run(session: Session, result: RunResult) -> None:
    """Store the result of a run that was begun."""
    row = session.get_one(tables.EvalRun, result.run)
    row.config, row.status, row.verdict = result.config, "succeeded", result.verdict
    row.result, row.finished_at = to_builtins(result), now()


def fail_run(session: Session, run_id: str) -> None:
    """Record that a run ended without a result."""
    row = session.get_one(tables.EvalRun, run_id)
    row.status, row.finished_at = "failed", now()


def load_run(session: Session, name: str, *, goldset: str | None = None) -> RunResult:
    """The run by its id. Raises ``NotFound``.

    ``last`` is the newest run that passed (of ``goldset``, where one is given): what a nightly run is
    compared with.
    """
    query = select(tables.EvalRun).where(tables.EvalRun.result.is_not(None))
    if name == LAST:
        query = query.where(tables.EvalRun.verdict == "PASS").order_by(tables.EvalRun.created_at.desc())
        if goldset is not None:
            query = query.where(tables.EvalRun.goldset == goldset)
    else:
        query = query.where(tables.EvalRun.id == name)
    row = session.scalars(query.limit(1)).first()
    if row is None or row.result is None:
        count = session.scalar(select(func.count()).select_from(tables.EvalRun)) or 0
        what = (
            "No run has passed yet" if name == LAST else f"There is no finished run {name!r} among the {count} stored"
        )
        raise NotFound(f"{what}.", code="run_not_found")
    return from_builtins(row.result)
