import json
from pathlib import Path

import pytest

from evals.formats import read_gold
from evals.gold import Evidence
from infra.errors import InvalidInput


def test_cited_pages_are_evidence_and_leave_the_answer(tmp_path: Path) -> None:
    rows = [
        {
            "question": "Vision?",
            "truth": "Yes.[Plan A.pdf#page=7][Plan A.pdf#page=7] Also dental [b.pdf#page=12].",
        },
        {"question": "Roles?", "truth": "See [roles.pdf]."},
        {"question": "Platinum?", "truth": "Generated from this prompt [sic]."},
    ]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = read_gold("northwind", tmp_path / "qa.jsonl")
    vision, roles, platinum = source.items
    assert vision.evidence == (
        Evidence(external_id="Plan A.pdf", page=7),
        Evidence(external_id="b.pdf", page=12),
    )
    assert vision.answer == "Yes. Also dental."
    assert roles.evidence == (Evidence(external_id="roles.pdf"),)
    assert (platinum.answerable, platinum.evidence) == (False, ())
    assert source.notes == ("1 questions cite no page and count as unanswerable",)


def test_a_line_without_a_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qa.jsonl").write_text('{"question": "Vision?"}\n')
    with pytest.raises(InvalidInput, match=r"qa\.jsonl, line 1: truth must be a text"):
        read_gold("northwind", tmp_path / "qa.jsonl")
