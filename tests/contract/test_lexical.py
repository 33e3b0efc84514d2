"""What the lexical index in memory does as it changes; scores are checked against BM25 in ``test_lexical_scores.py`` too."""

import math

import numpy as np
import pytest

from retrieval.lexical.analysis import identifiers
from retrieval.lexical.memory import FieldWeights, LexicalEntry, TantivyLexical

TEXTS = {
    1: ("Leave", "Employees accrue holiday every month"),
    2: ("Leave", "Sick leave is paid, and sick notes are needed"),
    3: ("Parts", "The pump EX-104 replaces the Zeta-7"),
    4: ("Parts", "EX valves and 104 pumps, none of them new"),
    5: ("", "Running costs of the café: 1,500.25 EUR"),
}


@pytest.fixture
def make():
    def build(weights=None):
        return TantivyLexical(weights=weights)

    return build


@pytest.fixture
def index(make):
    index = make()
    index.add(LexicalEntry(key, context, text) for key, (context, text) in TEXTS.items())
    index.commit()
    return index


def keys(hits):
    return [key for key, _ in hits]


def test_scores_are_bm25_over_context_and_text(make):
    index = make(FieldWeights(body=1.0, surroundings=0.0, identifiers=0.0))
    bodies = {1: "alpha beta beta", 2: "alpha gamma", 3: "delta delta delta delta delta", 4: "beta"}
    index.add(LexicalEntry(key, "Title", body) for key, body in bodies.items())
    index.commit()
    words = {key: ["title", *body.split()] for key, body in bodies.items()}
    average = sum(map(len, words.values())) / len(words)

    def bm25(key, terms, k1=1.2, b=0.75):
        total = 0.0
        for term in terms:
            holding = sum(term in listed for listed in words.values())
            idf = math.log(1 + (len(words) - holding + 0.5) / (holding + 0.5))
            tf = words[key].count(term)
            total += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(words[key]) / average))
        return total

    for query in (["alpha", "beta"], ["delta"], ["beta", "beta", "gamma"]):
        expected = {key: bm25(key, query) for key in words if bm25(key, query) > 0}
        hits = index.search(" ".join(query), 10)
        assert dict(hits) == pytest.approx(expected, rel=1e-5)
        assert keys(hits) == sorted(expected, key=expected.__getitem__, reverse=True)


def test_english_words_are_stemmed_and_freed_of_accents_and_case(index):
    assert keys(index.search("EMPLOYEE accruing", 5)) == [1]
    assert keys(index.search("cafe runs", 5)) == [5]


def test_surroundings_count_half_and_rank_after_the_chunk_itself(make):
    index = make()
    index.add(
        [
            LexicalEntry(1, "", "alpha", "alpha beta"),
            LexicalEntry(2, "", "beta", "alpha beta"),
            LexicalEntry(3, "", "gamma delta"),
        ]
    )
    index.commit()
    hits = index.search("beta", 5)
    assert keys(hits) == [2, 1]
    assert hits[0][1] > 1.5 * hits[1][1]
    assert keys(index.search("delta", 5)) == [3]


def test_context_is_searched(index):
    assert set(keys(index.search("leave", 5))) == {1, 2}
    assert set(keys(index.search("part", 5))) == {3, 4}


@pytest.mark.parametrize("query", ["EX-104", "ex104", "EX/104"])
def test_an_identifier_ranks_its_own_text_first(index, query):
    hits = index.search(query, 5)
    assert hits[0][0] == 3
    assert len(hits) == 1 or hits[0][1] > hits[1][1]


@pytest.mark.parametrize("query", ["Zeta-7", "zeta 7"])
def test_parts_of_an_identifier_are_found(index, query):
    assert keys(index.search(query, 5)) == [3]


def test_identifiers():
    assert identifiers("Pump EX-104 costs 1,500.25 EUR, see v2.1 and A_7; no well-known word.") == [
        "ex104",
        "150025",
        "v21",
        "a7",
    ]


def test_k_and_filter(index):
    assert len(index.search("leave", 1)) == 1
    assert index.search("leave", 0) == []
    full = dict(index.search("leave ex 104", 5))
    for allowed in ([2], [1, 2, 4], [2, 4, 99], [1, 2, 3, 4, 5]):
        for frozen in (False, True):
            array = np.array(allowed, dtype=np.int64)
            array.flags.writeable = not frozen
            for _ in range(2):
                # the scores of what is allowed are those of the unfiltered search
                assert dict(index.search("leave ex 104", 5, array)) == pytest.approx(
                    {key: score for key, score in full.items() if key in allowed}
                )
    assert index.search("leave", 5, np.array([], dtype=np.int64)) == []


def test_the_best_are_found_behind_a_filter_however_many_it_hides(make):
    index = make()
    index.add(LexicalEntry(key, "", "word " * (1 + key % 7)) for key in range(1000))
    index.commit()
    allowed = np.array([3, 5, 500], dtype=np.int64)
    assert set(keys(index.search("word", 3, allowed))) == {3, 5, 500}


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "\n\t",
        "???",
        "😀🎉",
        'foo: "bar',
        "((((",
        "AND OR NOT",
        "a:b~2^3 [1 TO *}",
        "*",
        "\\",
        "\x00",
        "a" * 100000,
        "the of and " * 10000,
        " ".join(f"w{i}" for i in range(20000)),
        "日本語のテキスト",
        "\ud800",
    ],
)
def test_any_text_is_a_query(index, query):
    assert isinstance(index.search(query, 5), list)


def test_a_query_without_words_finds_nothing(index):
    for query in ("", "?!", "😀"):
        assert index.search(query, 5) == []


def test_a_long_query_still_finds(index):
    assert index.search("holiday " + "filler " * 50_000, 5)[0][0] == 1


def test_changes_are_seen_after_commit_and_not_before(index):
    index.add([LexicalEntry(6, "", "unicorn")])
    index.remove([1])
    assert index.search("unicorn", 5) == []
    assert keys(index.search("holiday", 5)) == [1]
    assert index.keys().tolist() == [1, 2, 3, 4, 5]
    index.commit()
    assert keys(index.search("unicorn", 5)) == [6]
    assert index.search("holiday", 5) == []
    assert index.keys().tolist() == [2, 3, 4, 5, 6]
    assert len(index) == 5


def test_adding_a_key_again_replaces_it(index):
    index.add([LexicalEntry(1, "", "first"), LexicalEntry(1, "", "second")])
    index.commit()
    assert index.search("holiday first", 5) == []
    assert keys(index.search("second", 5)) == [1]
    assert len(index) == 5


def test_removing_and_adding_within_one_commit(index):
    index.remove([1, 77])
    index.add([LexicalEntry(1, "", "back")])
    index.remove([2])
    index.commit()
    assert keys(index.search("back", 5)) == [1]
    assert index.keys().tolist() == [1, 3, 4, 5]


def test_a_filter_is_right_after_the_index_changed(index):
    allowed = np.array([1, 2, 3, 4], dtype=np.int64)
    allowed.flags.writeable = False
    assert 6 not in keys(index.search("leave", 9, allowed))
    index.add([LexicalEntry(6, "", "leave")])
    index.commit()
    assert 6 not in keys(index.search("leave", 9, allowed))


def test_a_full_match_is_the_sum_of_inverse_document_frequencies(make):
    index = make(FieldWeights(body=1.0, surroundings=0.0, identifiers=0.0))
    index.add(LexicalEntry(key, "", text) for key, text in {1: "alpha beta", 2: "alpha gamma", 3: "delta"}.items())
    index.commit()
    alpha, beta, unknown = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5), math.log(1 + 3.5 / 0.5)
    assert index.full_match("alpha") == pytest.approx(alpha)
    assert index.full_match("beta alpha beta") == pytest.approx(alpha + 2 * beta)
    assert index.full_match("alpha xyzzy") == pytest.approx(alpha + unknown)
    assert index.full_match("") == 0.0
    # The text "delta" is shorter than the average of 5/3 words, so its match scores more.
    length_norm = 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / 5))
    assert dict(index.search("delta", 1))[3] / index.full_match("delta") == pytest.approx(length_norm, rel=1e-4)
