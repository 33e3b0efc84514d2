from evals.metrics.recall import recall


def test_share_of_what_is_relevant() -> None:
    assert recall(3, 4) == 0.75
    assert recall(0, 2) == 0.0
