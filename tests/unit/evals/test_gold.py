from typing import Any

import pytest

from evals.gold import Evidence, GoldItem, item_from, items_from, to_body
from infra.errors import InvalidInput

FULL: dict[str, Any] = {
    "id": "q1",
    "question": "How many days?",
    "answerable": True,
    "answer": "25 days.",
    "facts": ["25 days"],
    "evidence": [
        {
            "external_id": "a/b.md",
            "sha256": "0" * 64,
            "page": 2,
            "char_start": 3,
            "char_end": 9,
            "quote": "days",
        }
    ],
    "groups": ["hr"],
    "kind": "number",
    "tags": ["leave"],
}


def test_every_field_of_the_contract_survives() -> None:
    assert to_body(item_from(FULL, "x")) == FULL


def test_absent_groups_are_not_empty_groups() -> None:
    plain = {"id": "q", "question": "?", "answerable": False}
    assert item_from(plain, "x").groups is None
    assert item_from(plain | {"groups": []}, "x").groups == ()
    assert to_body(item_from(plain | {"groups": []}, "x")) == plain | {"groups": []}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answerable": "yes"}, ["answerable", "Expected bool, got str"]),
        ({"question": "  "}, ["question is blank"]),
        ({"colour": 1}, ["colour is not a field", "allowed: id, question, answerable"]),
        (
            {"evidence": [{"external_id": "a", "pages": 1}]},
            ["evidence[0].pages is not a field", "char_start"],
        ),
        ({"evidence": [{"external_id": "a", "page": 0}]}, ["evidence[0].page", ">= 1"]),
        (
            {"evidence": [{"external_id": "a", "char_start": 1}]},
            ["evidence[0]", "both char_start and char_end"],
        ),
        ({"evidence": [{"external_id": "a", "char_start": 5, "char_end": 5}]}, ["char_start < char_end"]),
        ({"evidence": [{"external_id": "a", "sha256": "xyz"}]}, ["evidence[0].sha256"]),
        ({"evidence": [{"external_id": "a", "quote": " \n"}]}, ["evidence[0].quote is blank"]),
        ({"evidence": [{"page": 1}]}, ["evidence[0]", "external_id"]),
        ({"facts": "25"}, ["facts", "got str"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        item_from(FULL | change, "gold.jsonl, line 7")
    assert caught.value.detail.startswith("gold.jsonl, line 7: ")
    for word in words:
        assert word in caught.value.detail


def test_an_id_that_comes_twice_names_both_lines() -> None:
    with pytest.raises(InvalidInput, match="line 2: the id 'q1' is taken by f, line 1"):
        list(items_from([("f, line 1", FULL), ("f, line 2", FULL)]))


def test_relevance_judgements_are_told_from_questions_with_answers() -> None:
    judged = GoldItem(id="1", question="?", answerable=True, evidence=(Evidence(external_id="d"),))
    assert judged.only_judged
    assert not GoldItem(id="1", question="?", answerable=False).only_judged
    assert not GoldItem(id="1", question="?", answerable=True, facts=("x",)).only_judged
    assert not GoldItem(
        id="1", question="?", answerable=True, evidence=(Evidence(external_id="d", page=1),)
    ).only_judged
