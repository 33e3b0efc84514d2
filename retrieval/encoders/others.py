"""The encoders besides the current one: collections that were embedded by another go on with it until they are built anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from infra.errors import Conflict
from retrieval.encoders.encoder import Encoder


class Embedded(Protocol):
    """What has vectors of one encoder: a collection."""

    @property
    def name(self) -> str:
        """The collection's name."""
        ...

    @property
    def encoder(self) -> str | None:
        """The name of the encoder that its vectors are from; ``None`` while it has none."""
        ...


class OtherEncoders:
    """Encoders that are loaded when a collection needs them, by the part of their names before ``@``; safe for threads."""

    def __init__(self, loaders: Mapping[str, Callable[[], Encoder]] | None = None) -> None:
        self._loaders = dict(loaders or {})
        self._loaded: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def named(self, name: str) -> Encoder | None:
        """The encoder of exactly this name; ``None`` if there is none, or its weights are others by now."""
        stem = name.partition("@")[0]
        with self._lock:
            if stem in self._loaders and stem not in self._loaded:
                self._loaded[stem] = self._loaders[stem]()
            found = self._loaded.get(stem)
        return found if found is not None and found.name == name else None


def encoder_of(collection: Embedded, current: Encoder, others: OtherEncoders) -> Encoder:
    """The encoder of a collection's vectors: the current one, or another that can be had; ``current`` for one without vectors.

    Raises ``Conflict`` where there is no such encoder: vectors of two are never compared.
    """
    if collection.encoder is None or collection.encoder == current.name:
        return current
    found = others.named(collection.encoder)
    if found is None:
        raise Conflict(
            f"Collection {collection.name!r} was indexed with encoder {collection.encoder!r}, and FOOTNOTE_ENCODER is now"
            f" {current.name!r}: set FOOTNOTE_PREVIOUS_ENCODER to the old one, and move the collection with: footnote index"
            f" build --promote --collection {collection.name}.",
            code="encoder_mismatch",
        )
    return found
