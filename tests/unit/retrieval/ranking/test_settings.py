import pytest

from infra.errors import InvalidInput
from retrieval.filters import parse_filter
from retrieval.ranking.settings import DEFAULT_RANKING, RankingSettings, joint_ranking, read_ranking

GIVEN = {
    "fusion": "reciprocal_rank",
    "dense_weight": 0.3,
    "repeat_factor": 1,
    "recency_half_life_days": 90,
    "recency_weight": 0.8,
    "recency_field": "published",
    "weights": [{"filter": {"department": "hr"}, "weight": 1.5}],
    "collapse_threshold": 0.9,
    "rerank": True,
    "rerank_depth": 30,
    "rerank_weight": 1,
    "expand": 2,
}


def test_nothing_given_is_the_defaults():
    assert read_ranking(None) == read_ranking({}) == DEFAULT_RANKING == RankingSettings()
    assert read_ranking({"dense_weight": 0.5}) == DEFAULT_RANKING


def test_every_setting_is_read_and_shown_as_it_was_given():
    settings = read_ranking(GIVEN)
    assert settings.as_json() == GIVEN
    assert settings.weights[0].filter == parse_filter({"department": "hr"})
    assert read_ranking(settings.as_json()) == settings
    assert read_ranking(DEFAULT_RANKING.as_json()) == DEFAULT_RANKING


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"fusion": "sum"}, "ranking.fusion", "must be one of: min_max, reciprocal_rank"),
        ({"dense_weight": 1.1}, "ranking.dense_weight", "must be a number from 0 to 1"),
        ({"dense_weight": True}, "ranking.dense_weight", "must be a number from 0 to 1"),
        ({"dense_weight": float("nan")}, "ranking.dense_weight", "must be a number from 0 to 1"),
        ({"recency_half_life_days": 0}, "ranking.recency_half_life_days", "must be a number from 1 to 36500"),
        ({"recency_field": ""}, "ranking.recency_field", "must be a field's name"),
        ({"collapse_threshold": 0.4}, "ranking.collapse_threshold", "must be a number from 0.5 to 1, or 0"),
        ({"rerank": "yes"}, "ranking.rerank", "must be true or false"),
        ({"rerank_depth": 1.5}, "ranking.rerank_depth", "must be a whole number from 1 to 200"),
        ({"expand": 4}, "ranking.expand", "must be a whole number from 0 to 3"),
        ({"wheel": 1}, "ranking.wheel", None),
        ({"weights": {}}, "ranking.weights", None),
        ({"weights": [{"filter": {}}]}, "ranking.weights.0", None),
        ({"weights": [{"filter": {}, "weight": 0}]}, "ranking.weights.0.weight", "must be a number from 0.01 to 100"),
        ({"weights": [{"filter": {"a": {"$x": 1}}, "weight": 2}]}, "ranking.weights.0.filter.a.$x", None),
    ],
)
def test_what_is_wrong_is_named(given, field, message):
    with pytest.raises(InvalidInput) as refused:
        read_ranking(given)
    assert refused.value.code == "invalid_ranking"
    assert [error.field for error in refused.value.errors] == [field]
    if message is not None:
        assert refused.value.errors[0].message == message


def test_several_mistakes_are_named_at_once():
    with pytest.raises(InvalidInput) as refused:
        read_ranking({"expand": -1, "fusion": None, "x": 1})
    assert {error.field for error in refused.value.errors} == {"ranking.x", "ranking.fusion", "ranking.expand"}


def test_collections_that_agree_keep_their_settings_and_others_get_the_defaults_of_what_they_differ_in():
    one = RankingSettings(fusion="reciprocal_rank", dense_weight=0.2, rerank=True)
    other = RankingSettings(fusion="reciprocal_rank", dense_weight=0.7, rerank=True)
    assert joint_ranking([one, RankingSettings(**{name: getattr(one, name) for name in one.__slots__})]) is one
    assert joint_ranking([one, other]) == RankingSettings(fusion="reciprocal_rank", rerank=True)
    assert joint_ranking([one, DEFAULT_RANKING]) == DEFAULT_RANKING
    assert joint_ranking([]) is DEFAULT_RANKING
