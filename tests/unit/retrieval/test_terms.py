from retrieval.terms import content_terms, stem, words


def test_terms_are_stemmed_content_words() -> None:
    assert content_terms("The engineers are accruing days of leave") == ["engin", "accru", "day", "leav"]


def test_singular_and_plural_agree() -> None:
    assert content_terms("A policy applies.") == content_terms("Policies apply")


def test_words_fold_case_accents_and_possessives() -> None:
    assert words("Zoë’s CAFÉ pays 2.25 in v2.1.") == ["zoe", "cafe", "pays", "2.25", "in", "v2.1"]


def test_other_scripts_pass() -> None:
    assert stem("привет") == "привет"
    assert content_terms("Привет мир") == ["привет", "мир"]


def test_nothing_from_nothing() -> None:
    assert content_terms(" … ") == []


def test_a_missing_space_joins_no_words() -> None:
    assert words("The end.Next one in the U.S. now") == [
        "the",
        "end",
        "next",
        "one",
        "in",
        "the",
        "u.s",
        "now",
    ]
