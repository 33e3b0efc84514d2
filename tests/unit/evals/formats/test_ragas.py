import json
from pathlib import Path

import pytest

from evals.formats import read_gold
from evals.gold import Evidence
from infra.errors import InvalidInput


def test_contexts_with_ids_are_evidence_and_without_are_to_be_placed(tmp_path: Path) -> None:
    rows = [
        {
            "user_input": "What pulls?",
            "reference": "A winch.",
            "reference_contexts": ["The winch pulls."],
            "reference_context_ids": ["winch.md"],
            "synthesizer_name": "single_hop",
        },
        {"question": "Why?", "ground_truth": "Because.", "contexts": ["Because of it.", "And that."]},
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = read_gold("ragas", tmp_path / "set.jsonl")
    first, second = source.items
    assert first.evidence == (Evidence(external_id="winch.md", quote="The winch pulls."),)
    assert (first.answer, first.kind) == ("A winch.", "single_hop")
    assert (second.question, second.answer, second.evidence) == ("Why?", "Because.", ())
    assert source.unplaced == {second.id: ("Because of it.", "And that.")}


def test_ids_stay_the_same_from_import_to_import(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps([{"user_input": "One?"}, {"user_input": "Two?"}, {"user_input": "Two?"}])
    )
    (tmp_path / "b.json").write_text(json.dumps({"samples": [{"user_input": "Two?"}]}))
    one, two, again = (item.id for item in read_gold("ragas", tmp_path / "a.json").items)
    assert read_gold("ragas", tmp_path / "b.json").items[0].id == two
    assert again == f"{two}-2"
    assert one != two


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"user_input": "One?"}, {"reference": "x"}]))
    with pytest.raises(InvalidInput, match=r"a.json, sample 2: user_input \(or question\) must be a text"):
        read_gold("ragas", tmp_path / "a.json")
    (tmp_path / "b.jsonl").write_text(json.dumps({"user_input": "x", "reference_contexts": "no list"}))
    with pytest.raises(InvalidInput, match=r"b.jsonl, line 1: reference_contexts must be a list of texts"):
        read_gold("ragas", tmp_path / "b.jsonl")
