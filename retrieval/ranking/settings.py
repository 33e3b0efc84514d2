"""Ranking settings: how a collection's search results are put in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from infra.errors import FieldError, InvalidInput
from retrieval.filters import Filter, parse_filter

Fusion = Literal["min_max", "reciprocal_rank"]

MAX_EXPAND = 3
MAX_WEIGHTS = 32
MAX_RERANK_DEPTH = 200


@dataclass(frozen=True, slots=True)
class DocumentWeight:
    """Documents that pass ``filter`` have their scores multiplied by ``weight``; ``raw`` is the filter as it was given."""

    filter: Filter
    weight: float
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RankingSettings:
    """How results are ranked; the defaults are those of a collection that says nothing.

    ``fusion`` makes one ranking of both legs' scores, ``dense_weight`` is the dense leg's share of it, and ``repeat_factor``
    what a further chunk of the same page keeps of its score. ``recency_half_life_days`` (``None`` = off): the days in which a
    document's score loses half of what age can take from it, which is ``recency_weight``; ``recency_field`` is where its date
    stands, a document field or one of the metadata. ``weights`` multiply the scores of the documents that they choose.
    ``collapse_threshold``: from which likeness of their texts results are shown as one: 1 = the same words, 0 = never.
    ``rerank``: whether the reranker reorders the first ``rerank_depth`` where the caller does not say, and
    ``rerank_weight`` its share of the new score. ``expand``: chunks on either side that a writer of answers is given with
    each passage.
    """

    fusion: Fusion = "min_max"
    dense_weight: float = 0.5
    repeat_factor: float = 0.85
    recency_half_life_days: float | None = None
    recency_weight: float = 0.5
    recency_field: str = "updated_at"
    weights: tuple[DocumentWeight, ...] = ()
    collapse_threshold: float = 0.0
    rerank: bool = False
    rerank_depth: int = 20
    rerank_weight: float = 0.5
    expand: int = 0

    @property
    def weighs_documents(self) -> bool:
        """Whether a score depends on the document's facts."""
        return bool(self.weights) or self.recency_half_life_days is not None

    def as_json(self) -> dict[str, Any]:
        """The settings by name, as they are stored and shown."""
        shown: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        shown["weights"] = [{"filter": dict(rule.raw), "weight": rule.weight} for rule in self.weights]
        return shown


DEFAULT_RANKING = RankingSettings()


def joint_ranking(settings: Iterable[RankingSettings]) -> RankingSettings:
    """What holds for one search over collections that have ``settings``: of each setting the value that all agree on, else
    its default. (Recency and weights are each document's own collection's, whatever the others say.)
    """
    every = list(settings)
    if not every:
        return DEFAULT_RANKING
    first = every[0]
    if all(each == first for each in every):
        return first
    agreed: dict[str, Any] = {}
    for field in fields(RankingSettings):
        value = getattr(first, field.name)
        agreed[field.name] = value if all(getattr(each, field.name) == value for each in every) else field.default
    return RankingSettings(**agreed)


def read_ranking(given: Mapping[str, Any] | None) -> RankingSettings:
    """Settings as a caller gives them, or as they are stored; ``None`` and what is left out stand for the defaults.

    Raises ``InvalidInput`` (code ``invalid_ranking``) with one error a field.
    """
    if not given:
        return DEFAULT_RANKING
    reader = _Reader(given)
    half_life = given.get("recency_half_life_days")
    settings = RankingSettings(
        fusion=reader.choice("fusion", get_args(Fusion)),
        dense_weight=reader.number("dense_weight", 0, 1),
        repeat_factor=reader.number("repeat_factor", 0, 1),
        recency_half_life_days=None if half_life is None else reader.number("recency_half_life_days", 1, 36_500),
        recency_weight=reader.number("recency_weight", 0, 1),
        recency_field=reader.text("recency_field"),
        weights=reader.weights("weights"),
        collapse_threshold=reader.number("collapse_threshold", 0.5, 1, or_zero=True),
        rerank=reader.flag("rerank"),
        rerank_depth=reader.whole("rerank_depth", 1, MAX_RERANK_DEPTH),
        rerank_weight=reader.number("rerank_weight", 0, 1),
        expand=reader.whole("expand", 0, MAX_EXPAND),
    )
    if reader.errors:
        raise InvalidInput(
            f"Bad ranking settings: {'; '.join(f'{error.field} {error.message}' for error in reader.errors)}.",
            code="invalid_ranking",
            errors=tuple(reader.errors),
        )
    return settings


class _Reader:
    """Reads one value after another; what is wrong is collected in ``errors`` and read as the default."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        names = [field.name for field in fields(RankingSettings)]
        self.errors = [
            FieldError(f"ranking.{name}", f"is not known; allowed: {', '.join(names)}")
            for name in given
            if name not in names
        ]

    def _value(self, name: str) -> Any:
        return self._given.get(name, getattr(DEFAULT_RANKING, name))

    def _refuse(self, name: str, allowed: str) -> Any:
        self.errors.append(FieldError(f"ranking.{name}", f"must be {allowed}"))
        return getattr(DEFAULT_RANKING, name, None)

    def choice(self, name: str, allowed: Sequence[str]) -> Any:
        value = self._value(name)
        return value if value in allowed else self._refuse(name, f"one of: {', '.join(allowed)}")

    def number(self, name: str, least: float, most: float, *, or_zero: bool = False) -> Any:
        value = self._value(name)
        if is_number(value) and (least <= value <= most or (or_zero and value == 0)):
            return float(value)
        return self._refuse(name, f"a number from {least} to {most}{', or 0' if or_zero else ''}")

    def whole(self, name: str, least: int, most: int) -> Any:
        value = self._value(name)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return self._refuse(name, f"a whole number from {least} to {most}")

    def flag(self, name: str) -> Any:
        value = self._value(name)
        return value if isinstance(value, bool) else self._refuse(name, "true or false")

    def text(self, name: str) -> Any:
        value = self._value(name)
        return value if isinstance(value, str) and 0 < len(value) <= 200 else self._refuse(name, "a field's name")

    def weights(self, name: str) -> Any:
        value = self._value(name)
        if value == ():
            return ()
        if not isinstance(value, list | tuple) or len(value) > MAX_WEIGHTS:
            return self._refuse(name, f'a list of at most {MAX_WEIGHTS} objects {{"filter": {{…}}, "weight": 1.5}}')
        return tuple(rule for number, each in enumerate(value) if (rule := self._weight(f"{name}.{number}", each)))

    def _weight(self, name: str, given: Any) -> DocumentWeight | None:
        if not isinstance(given, Mapping) or set(given) != {"filter", "weight"}:
            self._refuse(name, 'an object {"filter": {…}, "weight": 1.5}')
            return None
        weight = given["weight"]
        if not is_number(weight) or not 0.01 <= weight <= 100:
            self._refuse(f"{name}.weight", "a number from 0.01 to 100")
            return None
        try:
            return DocumentWeight(parse_filter(given["filter"]), float(weight), given["filter"])
        except InvalidInput as error:
            self.errors += [FieldError(f"ranking.{name}.{each.field}", each.message) for each in error.errors]
            return None


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
