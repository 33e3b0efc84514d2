"""Models that are loaded once, however many commands run in this process: they hold nothing but their weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from unittest import mock

import pytest

from retrieval.answers.scorer import CrossEncoderScorer
from retrieval.encoders.encoder import load_encoder

# One of each for the whole run, by what it is asked for with.
_ENCODERS = cache(load_encoder)
_SCORERS = cache(CrossEncoderScorer)


@pytest.fixture(scope="module")
def shared_models() -> Iterator[None]:
    """Services opened in this process share the encoder and the answer scorer."""
    with (
        mock.patch("api.services.load_encoder", _ENCODERS),
        mock.patch("api.services.CrossEncoderScorer", _SCORERS),
    ):
        yield
