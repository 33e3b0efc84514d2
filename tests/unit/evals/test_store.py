from datetime import timedelta

import pytest

from evals.gold import Evidence, GoldItem
from evals.result import ItemResult, MetricValue, RunResult
from evals.store import beat, begin_run, fail_abandoned, fail_run, finish_run, load_goldset, load_run, save_goldset
from infra import tables
from infra.clock import now
from infra.database import Database
from infra.errors import InvalidInput, NotFound
from infra.owner import owner_name

ITEMS = [
    GoldItem(id="b", question="Zwei?", answerable=True, evidence=(Evidence(external_id="d", quote="ü"),), groups=()),
    GoldItem(id="a", question="One?", answerable=False),
]


def store_run(database: Database, verdict: str, goldset: str = "g") -> str:
    with database.write() as session:
        run = begin_run(session, goldset, "c", {})
    result = RunResult(
        run=run, goldset=goldset, collection="c", verdict=verdict,
        metrics={"aurc": MetricValue(0.1, (0.0, 0.2), 3, 0.1)},
        table={}, kinds={}, counts={"items": 1}, config={"encoder": "x"}, started_at="", finished_at="",
        items=(ItemResult(id="1", gold={"id": "1"}, scores={"loss": 0.5}),),
    )  # fmt: skip
    with database.write() as session:
        finish_run(session, result)
    with database.read() as session:
        assert load_run(session, run) == result
    return run


def test_a_gold_set_comes_back_in_order(database: Database) -> None:
    with database.write() as session:
        assert save_goldset(session, "g", "docs", ITEMS) is False
    with database.read() as session:
        assert load_goldset(session, "g") == ("docs", ITEMS)


def test_importing_again_replaces_the_items(database: Database) -> None:
    for name, items in (("g", ITEMS), ("h", ITEMS), ("g", ITEMS[1:])):
        with database.write() as session:
            replaced = save_goldset(session, name, f"docs-{len(items)}", items)
    assert replaced
    with database.read() as session:
        assert load_goldset(session, "g") == ("docs-1", ITEMS[1:])
        assert load_goldset(session, "h") == ("docs-2", ITEMS)


def test_unknown_names_say_what_there_is(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound, match="no gold set 'x'; none was imported yet"):
        load_goldset(session, "x")
    with database.write() as session:
        save_goldset(session, "g", "docs", ITEMS)
    with database.read() as session, pytest.raises(NotFound, match="no gold set 'x'; there are: g"):
        load_goldset(session, "x")
    with (
        database.read() as session,
        pytest.raises(NotFound, match="no finished run 'run_x' among the 0 stored"),
    ):
        load_run(session, "run_x")
    with database.write() as session, pytest.raises(InvalidInput, match="'Über' is not a valid name"):
        save_goldset(session, "Über", "docs", ITEMS)


def test_last_is_the_newest_run_of_the_set_that_passed(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound, match="No run has passed yet"):
        load_run(session, "last", goldset="g")
    store_run(database, "PASS")
    passed = store_run(database, "PASS")
    store_run(database, "FAIL")
    other = store_run(database, "PASS", goldset="h")
    with database.read() as session:
        assert load_run(session, "last", goldset="g").run == passed
        assert load_run(session, "last").run == other


def test_a_run_that_broke_off_has_no_result(database: Database) -> None:
    with database.write() as session:
        run = begin_run(session, "g", "c", {})
    with database.write() as session:
        fail_run(session, run)
    with database.read() as session:
        assert session.get_one(tables.EvalRun, run).status == "failed"
        with pytest.raises(NotFound):
            load_run(session, run)


HOST, PID, STARTED = owner_name().rsplit(":", 2)


@pytest.mark.parametrize(
    ("owner", "silent_minutes", "status"),
    [
        (f"{HOST}:{PID}:{STARTED}", 600, "running"),  # this process: it lives, however long an item takes
        (f"{HOST}:{PID}:1", 0, "failed"),  # its pid was given to another process
        (f"{HOST}:99999999:1", 0, "failed"),
        ("elsewhere:1:1", 29, "running"),
        ("elsewhere:1:1", 31, "failed"),
        (None, 31, "failed"),  # begun before owners were kept
    ],
)
def test_a_run_whose_process_died_is_recorded_as_failed(
    database: Database, owner: str | None, silent_minutes: int, status: str
) -> None:
    with database.write() as session:
        run = begin_run(session, "g", "c", {})
        row = session.get_one(tables.EvalRun, run)
        row.owner, row.heartbeat_at = owner, now() - timedelta(minutes=silent_minutes)
    with database.write() as session:
        fail_abandoned(session)
    with database.read() as session:
        row = session.get_one(tables.EvalRun, run)
        assert (row.status, row.finished_at is not None) == (status, status == "failed")


def test_a_beat_keeps_a_run_of_another_host_alive(database: Database) -> None:
    with database.write() as session:
        run = begin_run(session, "g", "c", {})
        row = session.get_one(tables.EvalRun, run)
        row.owner, row.heartbeat_at = "elsewhere:1:1", now() - timedelta(hours=2)
        beat(session, run)
        fail_abandoned(session)
        assert session.get_one(tables.EvalRun, run).status == "running"
