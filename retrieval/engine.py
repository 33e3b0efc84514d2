"""The parts that answering needs, opened once and handed down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infra.database import Database
from retrieval.answers.writer import Writer
from retrieval.encoders.encoder import Encoder
from retrieval.encoders.others import OtherEncoders
from retrieval.ranking.reranker import Reranker
from retrieval.verify.verification import Verifier
from retrieval.views import View, Views


@dataclass(frozen=True, slots=True)
class Engine:
    """Database, encoder, index, writer, verifier and, if one is configured, the reranker of one running service or command.

    ``others`` are the encoders of collections that were not embedded by ``encoder``. ``generations``: of these collections the
    generation of this number is searched in place of the live one.
    """

    database: Database
    encoder: Encoder
    index: Views
    writer: Writer
    verifier: Verifier
    reranker: Reranker | None = None
    others: OtherEncoders = field(default_factory=OtherEncoders)
    generations: Mapping[str, int] = field(default_factory=dict)

    def encode_query(self, query: str, views: Sequence[View]) -> list[NDArray[np.float32]]:
        """The query's vector for each view, by the encoder of its vectors; the view's own ``Views.current`` had it."""
        by_name = {self.encoder.name: self.encoder, "": self.encoder}
        vectors: dict[str, NDArray[np.float32]] = {}
        for view in views:
            if view.encoder not in vectors:
                encoder = by_name.get(view.encoder) or self.others.named(view.encoder)
                if encoder is None:
                    raise RuntimeError(
                        f"the index of {view.name!r} has vectors of {view.encoder!r}, which is not loaded"
                    )
                vectors[view.encoder] = encoder.encode([query], kind="query")[0]
        return [vectors[view.encoder] for view in views]
