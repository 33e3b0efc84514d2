from evals.metrics.mrr import reciprocal_rank


def test_one_over_the_rank_of_the_first_hit_within_ten() -> None:
    assert reciprocal_rank(1) == 1.0
    assert reciprocal_rank(4) == 0.25
    assert reciprocal_rank(10) == 0.1
    assert reciprocal_rank(11) == 0.0
    assert reciprocal_rank(None) == 0.0
