"""What both kinds of lexical index find and how they score it, against BM25 in plain Python."""

import itertools
import math
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lexical_model import Bm25, in_files, in_memory, merged_files

from retrieval.lexical.memory import FieldWeights, LexicalEntry, TantivyLexical

BODY = FieldWeights(body=1.0, surroundings=0.0, identifiers=0.0)
WORDS = [a + b for a in "bdfgklmprt" for b in ("al", "on", "ur")]


def made_up(count, seed=0, words=WORDS):
    pick = random.Random(seed)
    odds = [1 / (rank + 1) for rank in range(len(words))]
    return [" ".join(pick.choices(words, odds, k=pick.randint(1, 30))) for _ in range(count)]


def entries(texts):
    return [LexicalEntry(at, "", text) for at, text in enumerate(texts)]


@pytest.fixture(scope="module", params=["memory", "file", "file in 9 parts", "merged file"])
def make(request, tmp_path_factory):
    def build(texts, language="none", weights=BODY):
        held = texts if texts and isinstance(texts[0], LexicalEntry) else entries(texts)
        if request.param == "memory":
            return in_memory(held, language, weights)
        if request.param == "merged file" and len(held) >= 4:
            return merged_files(tmp_path_factory.mktemp("lexical"), held, language, weights)
        parts = 9 if "9" in request.param else 1
        return in_files(tmp_path_factory.mktemp("lexical") / "index", held, language, weights, parts)

    return build


@pytest.fixture(scope="module")
def both(make):
    """300 chunks, many of them with equal scores, as an index and as the model."""
    texts = made_up(200) + made_up(20, seed=1) * 5
    return make(texts), Bm25(texts)


def agrees(found, expected):
    """The same scores, and equal ones in the order of positions; those that float32 cannot tell apart may change places."""
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-5)
    known = dict(expected)
    assert len(dict(found)) == len(found)
    for at, score in found:
        # What is not among the expected can only be there instead of the last ones.
        assert score == pytest.approx(known.get(at, expected[-1][1]), rel=1e-5), at
    for (at, _), (after, _) in itertools.pairwise(found):
        if at in known and known[at] == known.get(after):
            assert at < after


def test_two_chunks_by_hand(make):
    index = make(["alpha beta", "alpha alpha gamma delta"])
    # N = 2, average length 3: idf(alpha) = ln 1.2, idf(gamma) = ln 2.
    first = math.log(1.2) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3))
    second = (math.log(1.2) * 2 * 2.2) / (2 + 1.2 * 1.25) + math.log(2) * 2.2 / (1 + 1.2 * 1.25)
    agrees(index.search("alpha gamma", 5), [(1, second), (0, first)])
    assert index.full_match("alpha gamma") == pytest.approx(math.log(1.2) + math.log(2))


def test_scores_and_order_are_those_of_bm25(both):
    index, model = both
    for query in ("bal", "bal don", "tur", "tur rur pur", "bal bal lon", "nothing", "nothing mur", " ".join(WORDS)):
        for k in (1, 7, 50, 1000):
            agrees(index.search(query, k), model.search(query, k))


def test_equal_scores_come_by_position_also_at_the_cut(make):
    texts = made_up(7, seed=3) * 40
    index, model = make(texts), Bm25(texts)
    for k in (1, 39, 40, 41, 100, 250):
        agrees(index.search("bal don", k), model.search("bal don", k))
    mask = np.arange(280) % 3 == 1
    agrees(index.search("bal don", 30, mask), model.search("bal don", 30, mask))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.003, 0.02, 0.1, 0.5, 0.99, 1.0]),
    runs=st.integers(1, 64),
    query=st.lists(st.sampled_from([*WORDS, "missing"]), min_size=1, max_size=5).map(" ".join),
    k=st.sampled_from([1, 5, 60, 400]),
)
@example(seed=0, share=0.99, runs=1, query="gal mon", k=60)
def test_any_mask_gives_the_best_of_what_it_allows(both, seed, share, runs, query, k):
    index, model = both
    count = len(model.words)
    mask = np.repeat(np.random.default_rng(seed).random(count // runs + 1) < share, runs)[:count]
    mask.flags.writeable = False
    for _ in range(2):
        agrees(index.search(query, k, mask), model.search(query, k, mask))


def test_strict_masks_of_a_larger_index(make):
    """Where few blocks of positions hold what is allowed, these blocks are part of the query."""
    texts = [" ".join(text.split()[:6]) for text in made_up(4000, seed=8)]
    index, model = make(texts), Bm25(texts)
    for allowed in ([0], [3999], [63, 64], range(100, 130), range(0, 4000, 700), [127, 128, 2047, 2048]):
        mask = np.zeros(4000, dtype=np.bool_)
        mask[list(allowed)] = True
        for query in ("bal don", "tur rur"):
            agrees(index.search(query, 10, mask), model.search(query, 10, mask))


def test_a_mask_that_changes_is_read_again(both):
    index, model = both
    mask = np.zeros(len(model.words), dtype=np.bool_)
    mask[:3] = True
    agrees(index.search("bal", 5, mask), model.search("bal", 5, mask))
    mask[:] = ~mask
    agrees(index.search("bal", 5, mask), model.search("bal", 5, mask))


def test_statistics_count_chunks_and_terms(make):
    index = make(["alpha beta", "alpha", "gamma"])
    statistics = index.statistics("alpha beta missing")
    assert statistics.chunks == 3
    assert statistics.frequencies == {("body", "alpha"): 2, ("body", "beta"): 1, ("body", "missing"): 0}


def test_scores_follow_the_statistics_given(make):
    index = make(["alpha beta", "alpha", "gamma"])
    other = in_memory(entries(["alpha", "delta", "beta beta"]), "none", BODY)
    together = index.statistics("alpha beta") + other.statistics("alpha beta")
    alpha, beta = math.log(1 + (6 - 3 + 0.5) / 3.5), math.log(1 + (6 - 2 + 0.5) / 2.5)
    assert index.full_match("alpha beta", together) == pytest.approx(alpha + beta)
    norm = 1.2 * (0.25 + 0.75 * 2 / (4 / 3))
    assert index.search("alpha beta", 1, statistics=together)[0] == (
        0,
        pytest.approx((alpha + beta) * 2.2 / (1 + norm), rel=1e-5),
    )


def test_surroundings_and_identifiers_are_fields_of_their_own(make):
    index = make(
        [
            LexicalEntry(0, "Pumps", "The EX-104", "The EX-104 is new"),
            LexicalEntry(1, "Pumps", "EX here and 104 there"),
        ],
        "english",
        None,
    )
    assert [at for at, _ in index.search("EX-104", 5)] == [0, 1]
    assert [at for at, _ in index.search("new", 5)] == [0]
    assert index.statistics("new 104").frequencies == {
        ("body", "new"): 0,
        ("surroundings", "new"): 1,
        ("body", "104"): 2,
        ("surroundings", "104"): 2,
        ("identifiers", "104"): 1,
    }


@pytest.mark.parametrize("query", ["", " \n", "?!", "((", "\x00", "\ud800", "a" * 100_000, "w " * 20_000, "😀"])
def test_any_text_is_a_query(both, query):
    assert both[0].search(query, 5) == []


def test_no_chunks_are_an_index_too(make):
    index = make([])
    assert index.search("alpha", 5) == []
    assert index.search("alpha", 5, np.zeros(0, dtype=np.bool_)) == []
    assert index.statistics("alpha").chunks == 0
    assert index.full_match("") == 0.0


@settings(max_examples=15, deadline=None)
@example([(True, 0, 0), (False, 0, 0), (True, 0, 0)])
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 500)), min_size=1, max_size=40))
def test_what_was_removed_counts_no_longer(changes):
    """After any changes, each with a commit of its own, scores are those of what is there."""
    index = TantivyLexical("none", weights=BODY)
    there: dict[int, str] = {}
    for adding, key, seed in changes:
        if adding:
            there[key] = made_up(1, seed)[0]
            index.add([LexicalEntry(key, "", there[key])])
        else:
            there.pop(key, None)
            index.remove([key])
        index.commit()
    keys = sorted(there)
    model = Bm25([there[key] for key in keys])
    for query in ("bal don", "tur", "lon mal kal"):
        expected = [(keys[at], score) for at, score in model.search(query, 100)]
        found = index.search(query, 100)
        assert dict(found) == pytest.approx(dict(expected), rel=1e-4)
        statistics = index.statistics(query)
        assert statistics.chunks == len(keys)
        for word in query.split():
            assert statistics.frequencies["body", word] == sum(word in text.split() for text in there.values())


@pytest.mark.parametrize("seed", range(4))
def test_scores_stay_those_of_what_is_there_through_many_commits(seed):
    """Each removes some chunks and adds some: ballast is outweighed, removed and merged away again and again."""
    pick = random.Random(seed)
    index = TantivyLexical("none", weights=BODY)
    there: dict[int, str] = {}
    for commit in range(20):
        gone = [key for key in there if pick.random() < 0.4]
        index.remove(gone)
        there = {key: text for key, text in there.items() if key not in gone}
        new = {commit * 10 + n: made_up(1, pick.randrange(500))[0] for n in range(pick.randint(0, 3))}
        index.add(LexicalEntry(key, "", text) for key, text in new.items())
        there |= new
        index.commit()
        model = Bm25(list(there.values()))
        expected = {list(there)[at]: score for at, score in model.search("bal don tur", 100)}
        assert dict(index.search("bal don tur", 100)) == pytest.approx(expected, rel=1e-3)


def test_a_base_and_its_delta_score_as_one_index():
    """Short notes beside long chunks, which are the worst case: an average of their own would make them long."""
    old, new = made_up(400, seed=4), [" ".join(text.split()[:4]) for text in made_up(30, seed=5)]
    with tempfile.TemporaryDirectory() as folder:
        base = in_files(Path(folder), entries(old), "none", BODY)
        delta = TantivyLexical("none", weights=BODY, lengths=base.lengths)
        delta.add(LexicalEntry(400 + at, "", text) for at, text in enumerate(new))
        delta.add([LexicalEntry(999, "", "gone " * 20)])
        delta.commit()
        delta.remove([999])
        delta.commit()
        for query in ("bal don", "tur rur pur", "mal"):
            together = base.statistics(query) + delta.statistics(query)
            found = base.search(query, 500, statistics=together) + delta.search(query, 500, statistics=together)
            model = Bm25(old + new, average=base.lengths.body)
            assert dict(found) == pytest.approx(dict(model.search(query, 500)), rel=1e-4)
            own = Bm25(old + new)
            assert dict(found) == pytest.approx(dict(own.search(query, 500)), rel=0.06), "the average is the base's"


def test_dead_chunks_of_a_file_are_left_out_of_the_statistics():
    texts = ["rare common", *["common"] * 300, "rare common", "common"]
    with tempfile.TemporaryDirectory() as folder:
        index = in_files(Path(folder), entries(texts), "none", BODY)
        alive = np.ones(303, dtype=np.bool_)
        alive[[0, 5, 6]] = False
        statistics = index.statistics("rare common", alive)
        assert statistics.chunks == 300
        # Rare terms are counted, common ones taken to be as often dead as chunks are.
        assert statistics.frequencies["body", "rare"] == 1
        assert statistics.frequencies["body", "common"] == pytest.approx(300)
        assert index.statistics("rare", np.ones(303, dtype=np.bool_)).frequencies["body", "rare"] == 2
