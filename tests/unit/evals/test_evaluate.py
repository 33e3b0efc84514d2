from typing import Any

import pytest

from evals.evaluate import Request, evaluate
from evals.gate import Gate, Rule
from evals.gold import Evidence, GoldItem
from evals.result import RunResult
from evals.store import load_run, save_goldset
from infra import tables
from infra.database import Database
from infra.errors import InvalidInput, NotFound

ITEMS = [GoldItem(id=f"a{n}", question=f"A{n}?", answerable=True, facts=("yes",), kind="easy") for n in range(3)] + [
    GoldItem(id="u1", question="U1?", answerable=False, kind="absent")
]
JUDGED = [GoldItem(id="q", question="Q?", answerable=True, evidence=(Evidence(external_id="d"),))]


@pytest.fixture
def stored(database: Database, subject: Any, make_answer: Any) -> Database:
    with database.write() as session:
        save_goldset(session, "company", "docs", ITEMS)
        save_goldset(session, "judged", "docs", JUDGED)
    subject.answers = {
        "A0?": make_answer("Yes.", score=0.9),
        "A1?": make_answer("No.", score=0.5),
        "U1?": make_answer("Perhaps.", score=0.6, unsupported=1),
    }
    return database


async def run(database: Database, subject: Any, **request: Any) -> RunResult:
    return await evaluate(database, subject, Request("company", **request))


@pytest.mark.anyio
async def test_metrics_tables_and_counts(stored: Database, subject: Any) -> None:
    result = await run(stored, subject)
    assert result.verdict == "PASS"
    assert {name: metric.value for name, metric in result.metrics.items() if name != "latency_p95_ms"} == {
        "groundedness": pytest.approx((1 + 1 + 0.5) / 3),
        "answer_facts": 0.5,
        "false_answer_rate": 1.0,
        "over_refusal_rate": pytest.approx(1 / 3, abs=1e-6),
        # By confidence .9, .6, .5 the losses are 0, 1, 1: (0 + 1/2 + 2/3) / 3.
        "aurc": pytest.approx(7 / 18, abs=1e-6),
    }
    assert result.metrics["false_answer_rate"].ci == (pytest.approx(0.2065, abs=1e-4), 1.0)
    assert result.table == {
        "answerable": {"answered": 2, "partial": 0, "abstained": 1},
        "unanswerable": {"answered": 0, "partial": 1, "abstained": 0},
    }
    assert result.kinds["absent"]["false_answer_rate"] == 1.0
    assert result.kinds["easy"]["n"] == 3
    assert result.counts == {
        "items": 4, "answerable": 3, "unanswerable": 1, "searched": 0, "asked": 4, "failed": 0
    }  # fmt: skip
    assert result.config["encoder"] == "fake"
    with stored.read() as session:
        assert load_run(session, result.run) == result


@pytest.mark.anyio
async def test_the_summary_is_the_contracts_json(stored: Database, subject: Any) -> None:
    body = (await run(stored, subject)).summary()
    assert {"run", "goldset", "verdict", "metrics"} <= body.keys()
    assert "items" not in body
    assert body["metrics"]["answer_facts"].keys() == {"value", "ci", "n", "mde"}
    assert body["metrics"]["answer_facts"]["ci"] == [0.0, 1.0]


@pytest.mark.anyio
async def test_relevance_judgements_are_only_searched_and_say_so(
    stored: Database, subject: Any, make_passage: Any
) -> None:
    subject.texts, subject.searches = {"d": "x"}, {"Q?": [make_passage("d")]}
    result = await evaluate(stored, subject, Request("judged"))
    assert result.metrics.keys() == {"ndcg@10", "recall@10", "mrr@10", "latency_p95_ms"}
    assert result.metrics["ndcg@10"].value == 1.0
    assert result.notes == ("search only: the gold set judges documents and says nothing of answers",)
    assert result.config["latency_of"] == "search"
    assert subject.asked == []
    asked = await evaluate(stored, subject, Request("judged", answers=True))
    assert asked.metrics["over_refusal_rate"].value == 1.0


@pytest.mark.anyio
async def test_the_gate_decides(stored: Database, subject: Any) -> None:
    def gate(**bounds: float) -> Gate:
        return Gate((Rule("false_answer_rate", **bounds),))

    assert (await run(stored, subject, gate=gate(max=0.1))).verdict == "FAIL"
    assert (await run(stored, subject, gate=gate(max=0.5))).verdict == "INCONCLUSIVE"
    assert (await run(stored, subject, gate=gate(min=0.1))).verdict == "PASS"
    assert (await run(stored, subject, gate=Gate((Rule("recall@10", min=0.1),)))).verdict == "INVALID"


@pytest.mark.anyio
async def test_a_run_is_held_to_its_baseline(stored: Database, subject: Any, make_answer: Any) -> None:
    first = await run(stored, subject)
    same = await run(stored, subject, baseline=first.run)
    assert (same.verdict, same.baseline) == ("PASS", first.run)
    assert {check.outcome for check in same.checks} == {"PASS"}
    for question in ("A0?", "A1?", "A2?"):
        subject.answers[question] = make_answer("No.", score=0.9)
    subject.answers["U1?"] = make_answer("Perhaps.", score=0.95)
    worse = await run(stored, subject, baseline="last")
    assert worse.baseline == same.run
    assert "answer_facts" in {check.metric for check in worse.checks}
    assert worse.verdict != "PASS"


@pytest.mark.anyio
async def test_the_first_nightly_run_has_no_baseline_yet(stored: Database, subject: Any) -> None:
    result = await run(stored, subject, baseline="last")
    assert result.notes == ("no run of this gold set has passed yet, so there is no baseline",)
    with pytest.raises(NotFound):
        await run(stored, subject, baseline="run_unknown")


@pytest.mark.anyio
async def test_nothing_measured_is_invalid(stored: Database, subject: Any) -> None:
    result = await run(stored, subject, answers=False)
    assert result.verdict == "INVALID"
    assert result.problems == ("nothing could be measured: no item has evidence, facts or an answer to judge",)


@pytest.mark.anyio
async def test_a_limit_is_noted(stored: Database, subject: Any) -> None:
    result = await run(stored, subject, limit=1)
    assert result.counts["items"] == 1
    assert result.notes == ("only the first 1 of 4 items were run",)


@pytest.mark.anyio
async def test_progress_reaches_the_end(stored: Database, subject: Any) -> None:
    seen: list[tuple[int, int]] = []
    await evaluate(stored, subject, Request("company", concurrency=2), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.anyio
async def test_a_run_that_breaks_off_is_recorded_as_failed(stored: Database, subject: Any) -> None:
    with pytest.raises(InvalidInput, match="mode is 'fuzzy'; allowed: hybrid, dense, lexical"):
        await run(stored, subject, mode="fuzzy")
    with pytest.raises(NotFound):
        await run(stored, subject, collection="nowhere")
    with stored.read() as session:
        assert [row.status for row in session.query(tables.EvalRun)] == ["failed"]
