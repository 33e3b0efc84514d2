"""Who may read what: groups against ``allowed_groups``."""

from __future__ import annotations

import pytest

from retrieval.access import EVERYTHING, Access


@pytest.mark.parametrize(
    ("groups", "allowed", "may"),
    [
        ({"hr"}, None, True),
        (set(), None, True),
        ({"hr"}, ["hr", "eng"], True),
        ({"ops", "eng"}, ["hr", "eng"], True),
        ({"ops"}, ["hr", "eng"], False),
        (set(), ["hr"], False),
        ({"hr"}, [], False),
        ({"HR"}, ["hr"], False),
        ({"h"}, ["hr"], False),
    ],
)
def test_a_caller_shares_a_group(groups: set[str], allowed: list[str] | None, may: bool) -> None:
    assert Access(frozenset(groups)).may_read(allowed) is may


@pytest.mark.parametrize("allowed", [None, [], ["hr"]])
def test_an_administrator_reads_everything(allowed: list[str] | None) -> None:
    assert EVERYTHING.may_read(allowed)
