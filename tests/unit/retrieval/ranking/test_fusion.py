import pytest

from retrieval.ranking.fusion import (
    Hit,
    fuse_min_max,
    fuse_reciprocal_rank,
    single_leg,
    spread,
    standard_scores,
    trust_lexical,
)


def test_weighted_sum_of_min_max_scores():
    # dense: (.9-.5)/.4 = 1, (.7-.5)/.4 = .5, 0; lexical: (12-4)/8 = 1, 0
    hits = fuse_min_max({1: 0.9, 2: 0.7, 3: 0.5}, {2: 12.0, 4: 4.0})
    assert [hit.key for hit in hits] == [2, 1, 3, 4]
    assert [hit.score for hit in hits] == pytest.approx([0.75, 0.5, 0.0, 0.0])
    assert hits[0] == Hit(2, hits[0].score, 0.7, 12.0)
    assert hits[3] == Hit(4, 0.0, None, 4.0)


def test_weights():
    hits = fuse_min_max({1: 1.0, 2: 0.0}, {1: 0.0, 2: 3.0}, weights=(0.3, 0.7))
    assert [(hit.key, hit.score) for hit in hits] == [(2, pytest.approx(0.7)), (1, pytest.approx(0.3))]


@pytest.mark.parametrize(
    ("share", "dense", "lexical"),
    [(0.0, 1.0, 0.0), (0.125, 0.8, 0.2), (0.25, 2 / 3, 1 / 3), (0.5, 0.5, 0.5), (1.7, 0.5, 0.5)],
)
def test_a_poor_lexical_match_counts_less(share, dense, lexical):
    assert trust_lexical(share) == pytest.approx((dense, lexical))


def test_given_weights_are_kept_where_the_match_is_good():
    assert trust_lexical(0.6, (0.3, 0.7)) == pytest.approx((0.3, 0.7))
    assert trust_lexical(0.25, (0.3, 0.7)) == pytest.approx((0.3 / 0.65, 0.35 / 0.65))


@pytest.mark.parametrize("score", [0.4, 0.0, -0.2])
def test_a_leg_with_equal_scores_counts_fully_for_all_it_found(score):
    hits = fuse_min_max({1: score, 2: score}, {3: 5.0})
    assert [(hit.key, hit.score) for hit in hits] == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_negative_scores():
    hits = fuse_min_max({1: -0.1, 2: -0.3, 3: -0.2}, {})
    assert [(hit.key, hit.score) for hit in hits] == [(1, 0.5), (3, pytest.approx(0.25)), (2, 0.0)]


def test_with_all_that_match_found_nearly_equal_hits_stay_near():
    hits = fuse_min_max({}, {1: 8.0, 2: 7.6, 3: 2.0}, lexical_min=0.0)
    assert [(hit.key, hit.score) for hit in hits] == [
        (1, 0.5),
        (2, pytest.approx(0.475)),
        (3, pytest.approx(0.125)),
    ]


def test_nothing_found():
    assert fuse_min_max({}, {}) == []


def test_order_of_equal_scores_is_by_key_and_not_by_insertion():
    assert [hit.key for hit in fuse_min_max({9: 0.5, 1: 0.5, 5: 0.5}, {})] == [1, 5, 9]


def test_single_leg_keeps_its_own_scores():
    assert single_leg({1: 0.2, 2: 0.9, 3: 0.2}, dense=True) == [
        Hit(2, 0.9, dense=0.9),
        Hit(1, 0.2, dense=0.2),
        Hit(3, 0.2, dense=0.2),
    ]
    assert single_leg({1: 7.5}, dense=False) == [Hit(1, 7.5, lexical=7.5)]


def test_spread_lets_another_place_pass_the_second_best_of_one():
    hits = [Hit(1, 1.0), Hit(2, 0.9), Hit(3, 0.8), Hit(4, 0.78), Hit(5, 0.1)]
    place = {1: ("a", 0), 2: ("a", 0), 3: ("a", 0), 4: ("a", 1), 5: ("a", 1)}
    spaced = spread(hits, place, factor=0.5)
    assert [(hit.key, hit.score) for hit in spaced] == [
        (1, 1.0),
        (4, 0.78),
        (2, pytest.approx(0.45)),
        (3, pytest.approx(0.2)),
        (5, pytest.approx(0.05)),
    ]


def test_spread_keeps_what_has_no_place_and_the_legs_scores():
    hits = [Hit(1, 0.9, 0.5, 3.0), Hit(2, 0.8, 0.4), Hit(3, 0.7)]
    assert spread(hits, {}) == hits
    assert spread(hits, {1: "x", 2: "x"}, factor=0.5)[-1] == Hit(2, 0.4, 0.4)


def test_reciprocal_ranks():
    # dense order 1, 2, 3; lexical order 3, 1, 4
    hits = fuse_reciprocal_rank({1: 0.9, 2: 0.7, 3: 0.5}, {3: 12.0, 1: 8.0, 4: 4.0})
    assert [(hit.key, hit.score) for hit in hits] == [
        (1, pytest.approx(1 / 61 + 1 / 62)),
        (3, pytest.approx(1 / 63 + 1 / 61)),
        (2, pytest.approx(1 / 62)),
        (4, pytest.approx(1 / 63)),
    ]
    assert (hits[0].dense, hits[0].lexical, hits[3].dense) == (0.9, 8.0, None)


def test_reciprocal_ranks_with_weights_and_another_k():
    hits = fuse_reciprocal_rank({1: 0.9, 2: 0.7}, {2: 1.0}, (0.25, 0.75), k=1)
    assert [(hit.key, hit.score) for hit in hits] == [
        (2, pytest.approx(2 * 0.25 / 3 + 2 * 0.75 / 2)),
        (1, pytest.approx(2 * 0.25 / 2)),
    ]


def test_equal_scores_have_ranks_by_key():
    assert [hit.key for hit in fuse_reciprocal_rank({9: 0.5, 1: 0.5}, {})] == [1, 9]
    assert fuse_reciprocal_rank({}, {}) == []


def test_a_poor_lexical_match_still_counts_where_nothing_else_does():
    assert trust_lexical(0.0, (0.0, 1.0)) == (0.0, 1.0)


def test_standard_scores():
    # mean .6, deviations -.2, 0, .2: sd = sqrt(.08 / 3) = .1633
    assert standard_scores({1: 0.4, 2: 0.6, 3: 0.8}) == pytest.approx({1: -1.2247449, 2: 0.0, 3: 1.2247449})
    assert standard_scores({1: 0.5, 2: 0.5}) == {1: 0.0, 2: 0.0}
    assert standard_scores({}) == {}
