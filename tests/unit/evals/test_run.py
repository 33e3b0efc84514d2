from math import log2
from typing import Any

import pytest

from evals.gold import Evidence, GoldItem
from evals.result import ItemResult
from evals.run import RunPlan, Trial, asks_answers, run_items
from infra.errors import NotFound, Unavailable
from retrieval.access import EVERYTHING, Access
from retrieval.answers.answer import Reason

TEXT = "Employees accrue 1.5 days a month. Unused days lapse in March."
PLAN = RunPlan("docs")
QUOTED = GoldItem(
    id="q1",
    question="How many days?",
    answerable=True,
    facts=("1.5 days", "month"),
    evidence=(Evidence(external_id="leave.md", quote="Employees accrue 1.5 days a month."),),
)
UNANSWERABLE = GoldItem(id="q2", question="Who founded it?", answerable=False)


async def run(subject: Any, *items: GoldItem, plan: RunPlan = PLAN) -> Trial:
    return await run_items(subject, items, plan)


async def one(subject: Any, item: GoldItem, plan: RunPlan = PLAN) -> ItemResult:
    return (await run(subject, item, plan=plan)).items[0]


@pytest.fixture
def ready(subject: Any, make_passage: Any, make_answer: Any) -> Any:
    subject.texts = {"leave.md": TEXT}
    subject.searches["How many days?"] = [make_passage("x.md"), make_passage("leave.md", 0, 34)]
    subject.answers["How many days?"] = make_answer(
        "Employees accrue 1.5 days.",
        [("leave.md", 0, 26), ("x.md", 0, 5)],
        supported=1,
        unsupported=1,
        score=0.8,
    )
    return subject


@pytest.mark.anyio
async def test_every_score_of_an_answered_item(ready: Any) -> None:
    found = await one(ready, QUOTED)
    assert found.scores.pop("latency_ms") >= 0
    assert found.scores == {
        "ndcg@10": pytest.approx(1 / log2(3)),
        "recall@10": 1.0,
        "mrr@10": 0.5,
        "over_refusal": 0.0,
        "groundedness": 0.5,
        "answer_facts": 0.5,
        "citation_precision": 0.5,
        "citation_recall": 1.0,
        "confidence": 0.8,
        "loss": 0.5,
    }
    assert [hit.hit for hit in found.retrieved] == [False, True]
    assert found.status == "partial"


@pytest.mark.anyio
async def test_an_unanswerable_item_is_only_judged_on_abstaining(ready: Any, make_answer: Any) -> None:
    assert (await one(ready, UNANSWERABLE)).scores.keys() == {"latency_ms", "false_answer"}
    ready.answers["Who founded it?"] = make_answer("Someone.", score=0.4)
    found = await one(ready, UNANSWERABLE)
    assert {name: found.scores[name] for name in ("false_answer", "loss", "confidence", "groundedness")} == {
        "false_answer": 1.0,
        "loss": 1.0,
        "confidence": 0.4,
        "groundedness": 1.0,
    }


@pytest.mark.anyio
async def test_items_are_asked_as_their_groups(ready: Any) -> None:
    items = [
        GoldItem(id="1", question="a", answerable=False),
        GoldItem(id="2", question="b", answerable=False, groups=("hr", "eng")),
        GoldItem(id="3", question="c", answerable=False, groups=()),
    ]
    await run(ready, *items)
    assert ready.asked == [
        ("a", EVERYTHING),
        ("b", Access(frozenset({"hr", "eng"}))),
        ("c", Access(frozenset())),
    ]


@pytest.mark.anyio
async def test_documents_are_fetched_until_ten_distinct_ones_are_ranked(subject: Any, make_passage: Any) -> None:
    # Fifty passages of one document come first: the relevant one is eleventh at best without going deeper.
    subject.texts = {"good": "x"}
    subject.searches["?"] = [make_passage("long", 10 * n, 10 * n + 10) for n in range(50)] + [make_passage("good")]
    item = GoldItem(id="1", question="?", answerable=True, evidence=(Evidence(external_id="good"),))
    assert not asks_answers([item])
    found = await one(subject, item, RunPlan("docs", answers=False))
    assert subject.depths == [1, 30, 120]
    assert found.scores["ndcg@10"] == pytest.approx(1 / log2(3))
    assert found.status is None


@pytest.mark.anyio
async def test_stale_evidence_is_a_problem_and_not_a_low_score(ready: Any) -> None:
    ready.texts = {"leave.md": "Rewritten."}
    trial = await run(ready, QUOTED, UNANSWERABLE)
    assert "recall@10" not in trial.items[0].scores
    assert "citation_recall" not in trial.items[0].scores
    (problem,) = trial.problems
    assert problem.startswith("the evidence of item q1 cannot be found: the quote 'Employees accrue 1.5 days")
    assert problem.endswith("is not in the text of 'leave.md'")


@pytest.mark.anyio
async def test_a_judged_document_that_is_missing_counts_as_not_found(subject: Any, make_passage: Any) -> None:
    subject.texts = {"a": "x"}
    subject.searches["?"] = [make_passage("a")]
    evidence = (Evidence(external_id="a"), Evidence(external_id="gone"))
    item = GoldItem(id="1", question="?", answerable=True, evidence=evidence)
    trial = await run(subject, item, plan=RunPlan("docs", answers=False))
    assert trial.items[0].scores["recall@10"] == 0.5
    assert trial.problems == ()
    assert trial.notes == ("1 documents judged relevant are not in the collection; they count as not found",)
    subject.texts = {}
    trial = await run(subject, item, plan=RunPlan("docs", answers=False))
    assert trial.problems == ("none of the documents that the gold set names is in the collection",)


@pytest.mark.anyio
async def test_failures_and_a_missing_model_make_the_run_invalid(ready: Any, make_answer: Any) -> None:
    ready.answers["Who founded it?"] = Unavailable("The database is down.")
    ready.answers["How many days?"] = make_answer(reason=Reason.GENERATOR_UNAVAILABLE)
    trial = await run(ready, QUOTED, UNANSWERABLE)
    assert trial.problems == (
        "1 of 2 items failed, the first (q2): The database is down.",
        "1 of 2 answers were not written: the language model could not be reached",
    )
    assert "over_refusal" not in trial.items[0].scores
    assert trial.items[1].error == "The database is down."


@pytest.mark.anyio
async def test_an_empty_set_and_an_unknown_collection(subject: Any) -> None:
    assert (await run(subject)).problems == ("the gold set has no items",)
    with pytest.raises(NotFound):
        await run(subject, UNANSWERABLE, plan=RunPlan("nowhere"))
