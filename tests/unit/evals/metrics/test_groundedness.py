from evals.metrics.groundedness import groundedness


def test_uncheckable_sentences_count_on_neither_side() -> None:
    assert groundedness(3, 1) == 0.75
    assert groundedness(0, 2) == 0.0
    assert groundedness(0, 0) is None
