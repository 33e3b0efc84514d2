from retrieval.answers.siblings import is_same, is_sibling
from retrieval.terms import stem


def test_another_day_of_the_week_is_a_sibling() -> None:
    assert is_sibling(stem("sunday"), [stem("monday"), "close"])


def test_the_word_itself_beside_its_sibling_is_none() -> None:
    assert not is_sibling(stem("sunday"), [stem("monday"), stem("sunday")])


def test_spellings_of_one_thing_are_the_same() -> None:
    assert is_same(stem("bike"), stem("bicycles"))
    assert not is_sibling(stem("bike"), [stem("bicycles")])
    assert not is_same(stem("dinner"), stem("breakfast"))


def test_unknown_words_have_no_siblings() -> None:
    assert not is_sibling("quillon", ["zeta", stem("monday")])
