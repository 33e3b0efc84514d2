import json
from pathlib import Path
from typing import Any

import pytest

from evals.formats import read_gold
from evals.gold import Evidence
from evals.subject import DocumentInput
from infra.errors import InvalidInput


def content(start: int = 4) -> dict[str, Any]:
    first = {"id": "1", "question": "What pulls?", "answers": [{"text": "winch", "answer_start": start}]}
    second = {"id": "2", "question": "Why?", "answers": [], "is_impossible": True}
    paragraphs = [{"context": "The winch pulls.", "qas": [first, second]}, {"context": "More.", "qas": []}]
    return {"version": "v2.0", "data": [{"title": "Old_Winch", "paragraphs": paragraphs}]}


def test_paragraphs_become_documents_and_answers_evidence(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(content()))
    source = read_gold("squad", tmp_path / "squad.json")
    assert source.documents is not None
    assert list(source.documents()) == [
        DocumentInput("Old_Winch/1", "Old Winch", "The winch pulls."),
        DocumentInput("Old_Winch/2", "Old Winch", "More."),
    ]
    answerable, impossible = source.items
    assert answerable.evidence == (Evidence(external_id="Old_Winch/1", char_start=4, char_end=9, quote="winch"),)
    assert (answerable.answer, answerable.facts) == ("winch", ("winch",))
    assert (impossible.answerable, impossible.evidence) == (False, ())


def test_a_start_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(content(start=5)))
    with pytest.raises(InvalidInput, match=r"squad.json, question 1: answer_start does not point"):
        read_gold("squad", tmp_path / "squad.json")


def test_another_json_is_refused_with_the_field(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text('{"data": [{"paragraphs": [{"context": 1, "qas": []}]}]}')
    with pytest.raises(InvalidInput, match=r"Expected str, got int - at \$.data\[0\].paragraphs\[0\].context"):
        read_gold("squad", tmp_path / "squad.json")
