from retrieval.answers.thesaurus import are_related
from retrieval.terms import stem


def test_words_of_one_group_are_related_in_any_form() -> None:
    assert are_related(stem("bicycles"), stem("bike"))
    assert are_related(stem("overdue"), stem("late"))


def test_groups_are_not_joined_through_a_common_word() -> None:
    assert are_related(stem("fee"), stem("charge"))
    assert are_related(stem("charge"), stem("bill"))
    assert not are_related(stem("fee"), stem("bill"))


def test_words_of_no_group_are_not_related() -> None:
    assert not are_related("quillon", "quillon")
    assert not are_related(stem("helicopter"), stem("visitor"))
