import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from retrieval.filters import DocumentFacts, parse_filter
from retrieval.ranking.fusion import DEFAULT_WEIGHTS, fuse_min_max, single_leg, spread, trust_lexical
from retrieval.ranking.rank import Found, Ranked, rank
from retrieval.ranking.settings import DocumentWeight, RankingSettings

NOW = datetime(2026, 6, 30, tzinfo=UTC)
DENSE, LEXICAL = {1: 0.9, 2: 0.7, 3: 0.5}, {2: 12.0, 4: 4.0}
PLACE = {key: (f"d{key}", 0) for key in (1, 2, 3, 4)}


def found(settings: RankingSettings, dense=DENSE, lexical=LEXICAL, place=PLACE, share=1.0, name="c", **metadata):
    facts = {
        id_: DocumentFacts(id_, id_, None, None, None, 1, metadata.get(id_, {}), None, None, NOW)
        for id_, _ in place.values()
    }
    return Found(dense, lexical, place, share, settings, name, facts)


def scores(ranked: Ranked) -> list[tuple[int, float]]:
    return [(hit.key, pytest.approx(hit.score)) for hit in ranked.hits]


def before_there_were_settings(candidates, mode, depth):
    """How hits were ranked when the weights were fixed, word for word."""
    dense, lexical, place, share = candidates.dense, candidates.lexical, candidates.place, candidates.share
    if mode == "dense":
        return single_leg(dense, dense=True)
    if mode == "lexical":
        return single_leg(lexical, dense=False)
    all_that_match = len(lexical) < depth
    weights = trust_lexical(share) if dense else DEFAULT_WEIGHTS
    fused = fuse_min_max(dense, lexical, weights, lexical_min=0.0 if all_that_match else None)
    return spread(fused, place)


@pytest.mark.parametrize("seed", range(40))
def test_the_default_settings_rank_bit_by_bit_as_without_settings(seed):
    rng = random.Random(seed)
    depth = rng.choice([5, 40])
    keys = list(range(60))
    dense = {key: rng.uniform(-0.2, 1.0) for key in rng.sample(keys, rng.choice([0, depth]))}
    lexical = {key: rng.uniform(0.0, 30.0) for key in rng.sample(keys, rng.choice([1, depth]))}
    place = {key: (f"d{key % 7}", key % 3) for key in dense.keys() | lexical.keys()}
    candidates = Found(dense, lexical, place, rng.uniform(0.0, 1.0))
    for mode in ("hybrid", "dense", "lexical"):
        hits = rank([candidates], mode=mode, depth=depth).hits
        assert hits == before_there_were_settings(candidates, mode, depth)


def test_the_legs_count_as_the_settings_say():
    # of 1, 2, 3 by vector: 1, .5, 0; by words, over 12: 2 has 1, 4 has 1/3
    ranked = rank([found(RankingSettings(dense_weight=0.8))], mode="hybrid", depth=200)
    assert scores(ranked) == [(1, 0.8), (2, 0.8 * 0.5 + 0.2), (4, 0.2 / 3), (3, 0.0)]
    assert scores(rank([found(RankingSettings(dense_weight=0.0))], mode="hybrid", depth=200))[0] == (2, 1.0)
    by_rank = rank([found(RankingSettings(fusion="reciprocal_rank"))], mode="hybrid", depth=200)
    assert scores(by_rank) == [(2, 1 / 62 + 1 / 61), (1, 1 / 61), (4, 1 / 62), (3, 1 / 63)]


def test_a_poor_match_of_the_words_counts_less_whatever_the_weights():
    ranked = rank([found(RankingSettings(dense_weight=0.4), share=0.25)], mode="hybrid", depth=200)
    assert scores(ranked)[0] == (2, (0.4 * 0.5 + 0.3) / 0.7)


def test_further_chunks_of_a_page_lose_what_the_settings_say():
    place = dict.fromkeys(PLACE, ("d", 0))
    ranked = rank([found(RankingSettings(dense_weight=0.8, repeat_factor=0.5), place=place)], mode="hybrid", depth=200)
    assert scores(ranked) == [(1, 0.8), (2, 0.6 * 0.5), (4, 0.2 / 3 * 0.25), (3, 0.0)]


def rule(given, weight):
    return DocumentWeight(parse_filter(given), weight, given)


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
def test_documents_are_weighed_in_every_mode(mode):
    settings = RankingSettings(weights=(rule({"kind": "draft"}, 0.1),))
    plain = rank([found(RankingSettings())], mode=mode, depth=200)
    best = plain.hits[0]
    ranked = rank([found(settings, **{f"d{best.key}": {"kind": "draft"}})], mode=mode, depth=200, moment=NOW)
    assert next(hit.score for hit in ranked.hits if hit.key == best.key) == pytest.approx(best.score * 0.1)
    assert ranked.hits[0].key == plain.hits[1].key
    assert ranked.factors[best.key] == pytest.approx(0.1)


def test_each_document_is_weighed_by_its_own_collection_and_the_rest_by_what_all_agree_on():
    one = found(RankingSettings(dense_weight=0.8, weights=(rule({}, 2.0),)), {1: 0.9}, {}, {1: ("a", 0)}, name="one")
    two = found(RankingSettings(fusion="reciprocal_rank"), {2: 0.5, 3: 0.7}, {}, {2: ("b", 0), 3: ("e", 0)}, name="two")
    ranked = rank([one, two], mode="hybrid", depth=200, moment=NOW)
    assert (ranked.settings.fusion, ranked.settings.dense_weight) == ("min_max", 0.5)
    assert scores(ranked) == [(1, 0.5 * 2), (3, 0.25), (2, 0.0)]
    empty = found(RankingSettings(dense_weight=0.1), {}, {}, {})
    assert rank([two, empty], mode="hybrid", depth=200).settings.fusion == "reciprocal_rank"


def test_nothing_found():
    assert rank([], mode="hybrid", depth=200) == Ranked([])


def test_cosines_of_one_encoder_are_compared_and_of_two_their_distances_from_the_mean():
    one = Found({1: 0.5, 2: 0.3}, {}, {1: ("a", 0), 2: ("b", 0)}, 0.0, encoder="x")
    same = Found({3: 0.9, 4: 0.88, 5: 0.92}, {}, {3: ("c", 0), 4: ("d", 0), 5: ("e", 0)}, 0.0, encoder="x")
    assert [hit.key for hit in rank([one, same], mode="dense", depth=9).hits] == [5, 3, 4, 1, 2]
    # .5 is 1 deviation above its mean; .92, .9 and .88 are 1.22, 0 and -1.22.
    other = replace(same, encoder="y")
    ranked = rank([one, other], mode="dense", depth=9).hits
    assert [hit.key for hit in ranked] == [5, 1, 3, 2, 4]
    assert [hit.score for hit in ranked] == pytest.approx([1.2247449, 1.0, 0.0, -1.0, -1.2247449])
    # Where one of them finds nothing there is nothing to compare.
    assert [hit.score for hit in rank([one, replace(other, dense={})], mode="dense", depth=9).hits] == [0.5, 0.3]
