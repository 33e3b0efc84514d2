from typing import Any

import pytest

from evals.compare import compare, is_right
from evals.result import ItemResult, RunResult


def item(
    name: str, status: str | None = None, answerable: bool = True, question: str = "?", **scores: float
) -> ItemResult:
    gold = {"id": name, "question": question, "answerable": answerable}
    answer = {"text": "An answer.", "degraded": []} if status else None
    return ItemResult(
        id=name,
        gold=gold,
        scores={k.replace("_at_", "@"): v for k, v in scores.items()},
        status=status,
        answer=answer,
    )


def run(name: str, *items: ItemResult, goldset: str = "g", **config: Any) -> RunResult:
    return RunResult(
        run=name, goldset=goldset, collection="c", verdict="PASS", metrics={}, table={}, kinds={}, counts={},
        config=config, started_at="", finished_at="", items=items,
    )  # fmt: skip


def test_metrics_are_compared_on_common_items_only() -> None:
    before = run("a", item("1", recall_at_10=1.0), item("2", recall_at_10=0.0), item("3", recall_at_10=1.0))
    after = run("b", item("2", recall_at_10=1.0), item("1", recall_at_10=1.0), item("4", recall_at_10=0.0))
    found = compare(before, after)
    difference = found.metrics["recall@10"]
    assert (found.items, difference.n) == (2, 2)
    assert (difference.before, difference.after, difference.value) == (0.5, 1.0, 0.5)
    assert difference.ci == (0.0, 1.0)
    assert found.notes == ("1 items are not in both runs with the same gold (0 edited): left out",)


def test_an_item_whose_gold_was_edited_is_not_compared() -> None:
    before = run("a", item("1", recall_at_10=1.0), item("2", recall_at_10=1.0))
    after = run("b", item("1", question="Other?", recall_at_10=0.0), item("2", recall_at_10=1.0))
    found = compare(before, after)
    assert found.metrics["recall@10"].value == 0.0
    assert found.notes == ("1 items are not in both runs with the same gold (1 edited): left out",)


def test_flips_name_the_items_that_changed_sides_worst_first() -> None:
    before = run("a", item("1", "answered", loss=1.0), item("2", "answered", answerable=False), item("3", "abstained"))
    after = run("b", item("1", "answered", loss=0.0), item("2", "abstained", answerable=False), item("3", "abstained"))
    flips = compare(before, after).flips
    assert [(flip.id, flip.now) for flip in flips] == [("1", "right"), ("2", "right")]
    back = compare(after, before).flips
    assert [(flip.id, flip.now) for flip in back] == [("1", "wrong"), ("2", "wrong")]
    assert back[1].after == "answered: An answer."


def test_settings_that_differ_are_listed() -> None:
    found = compare(run("a", encoder="x", seq=1), run("b", encoder="y", seq=1, mode="dense"))
    assert found.settings == {"encoder": ("x", "y"), "mode": (None, "dense")}


def test_runs_of_different_sets_are_noted() -> None:
    assert "different gold sets" in compare(run("a"), run("b", goldset="h")).notes[0]


@pytest.mark.parametrize(
    ("result", "right"),
    [
        (item("1", "answered", loss=0.5), True),
        (item("1", "answered", loss=0.6), False),
        (item("1", "partial"), None),
        (item("1", "abstained"), False),
        (item("1", "abstained", answerable=False), True),
        (item("1", "partial", answerable=False, loss=1.0), False),
        (item("1", recall_at_10=0.5), True),
        (item("1", recall_at_10=0.0), False),
        (item("1"), None),
    ],
)
def test_right_and_wrong(result: ItemResult, right: bool | None) -> None:
    assert is_right(result) is right
