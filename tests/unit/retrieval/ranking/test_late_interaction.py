import math

import numpy as np
import pytest

from retrieval.encoders.token_vectors import TokenVectors
from retrieval.ranking.late_interaction import LateInteractionReranker, late_interaction

EAST, NORTH = (1.0, 0.0), (0.0, 1.0)


def tokens(*pairs: tuple[int, tuple[float, float]]) -> TokenVectors:
    vectors = np.array([vector for _, vector in pairs], dtype=np.float32).reshape(len(pairs), 2)
    return TokenVectors(np.array([token for token, _ in pairs], dtype=np.int64), vectors)


QUESTION = tokens((1, EAST), (2, NORTH))


def test_the_best_matches_squared_where_every_token_is_as_rare() -> None:
    # Tokens 1 and 2 are each in one of the two. First: 1 and 0, squared and averaged; second: .6 and 1.
    passages = [tokens((1, EAST)), tokens((2, (0.6, 0.8)), (3, NORTH))]
    assert late_interaction(QUESTION, passages) == pytest.approx([0.5, (0.36 + 1) / 2])


def test_a_token_that_most_passages_have_counts_for_less() -> None:
    passages = [tokens((1, EAST)), tokens((2, NORTH)), tokens((2, NORTH), (2, NORTH))]
    rare, common = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    expected = [rare / (rare + common), common / (rare + common), common / (rare + common)]
    assert late_interaction(QUESTION, passages) == pytest.approx(expected)


def test_what_points_away_is_no_match() -> None:
    assert late_interaction(tokens((1, EAST)), [tokens((9, (-1.0, 0.0)))]) == pytest.approx([0.0])


def test_without_tokens_there_is_no_match() -> None:
    assert late_interaction(QUESTION, [tokens(), tokens((1, EAST))])[0] == 0.0
    assert late_interaction(tokens(), [tokens((1, EAST))]).tolist() == [0.0]
    assert late_interaction(QUESTION, []).shape == (0,)


def test_the_question_is_encoded_as_a_query() -> None:
    class Encoder:
        name = "small@1"

        def token_vectors(self, texts, *, kind="document"):
            asked.append((list(texts), kind))
            return [tokens((len(text), EAST)) for text in texts]

    asked: list[object] = []
    reranker = LateInteractionReranker(Encoder())
    assert reranker.score("which", ["one", "other"]) == pytest.approx([1.0, 1.0])
    assert asked == [(["which"], "query"), (["one", "other"], "document")]
    assert reranker.name == "late-interaction/small@1"
    assert reranker.score("which", []).shape == (0,)
