"""The filter language: ``{"field": value}`` or ``{"field": {"$gte": x, "$lt": y}}`` over documents; several
are ANDed.

Document fields: id, external_id, collection, title, url, mime, version, created_at, updated_at. Every other
field is one of the document's metadata, also as ``metadata.name`` (which reaches one that is named like a
document field) and, for an object in the metadata, as ``name.inner``. Metadata is free, so a field that no
document has is no error: it matches nothing.

Values of different kinds are never equal and never ordered: the text "3" is not the number 3, and true is not
1. Texts that are both ISO 8601 dates or times are compared as moments (without a zone: UTC). A list matches
when one of its items does.

``Filter.matches`` is the definition, one document at a time; ``retrieval/facts/query.py`` gives the same answers for all
documents of a file at once, and ``retrieval/facts/selection.py`` for those in memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from infra.clock import in_utc
from infra.errors import FieldError, InvalidInput

Scalar = str | int | float | bool | None
Kind = Literal["null", "text", "moment", "number", "boolean", "other"]

MAX_FIELDS = 64
MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What permissions and filters look at of a document. ``allowed_groups`` cannot be filtered by."""

    id: str
    external_id: str
    title: str | None
    url: str | None
    mime: str | None
    version: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    allowed_groups: tuple[str, ...] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one field; ``values`` has one item, or those of ``$in`` and ``$nin``."""

    field: str
    operator: str
    values: tuple[Scalar, ...]

    def matches(self, facts: DocumentFacts, collection: str) -> bool:
        """Whether the document passes this test."""
        accept = acceptance(self.operator)
        actual = field_values(facts, collection, self.field)
        return any(compares(a, b, accept) for a in actual for b in self.values) != self.negated

    @property
    def negated(self) -> bool:
        """Whether the document passes when none of its values passes the comparison (``$ne``, ``$nin``)."""
        return self.operator in ("$ne", "$nin")


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold. Make one with ``parse_filter``."""

    conditions: tuple[Condition, ...]

    def matches(self, facts: DocumentFacts, collection: str = "") -> bool:
        """Whether the document passes every condition."""
        return all(condition.matches(facts, collection) for condition in self.conditions)


Acceptance = Callable[[int], bool]

_ORDERINGS: dict[str, Acceptance] = {
    "$gt": lambda sign: sign > 0,
    "$gte": lambda sign: sign >= 0,
    "$lt": lambda sign: sign < 0,
    "$lte": lambda sign: sign <= 0,
}
OPERATORS = ("$eq", "$ne", "$in", "$nin", *_ORDERINGS)

# The fields that are not metadata; all but the collection's name are attributes of the facts.
DOCUMENT_FIELDS = frozenset(
    {"id", "external_id", "collection", "title", "url", "mime", "version", "created_at", "updated_at"}
)
_DATES = frozenset({"created_at", "updated_at"})
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|[T ])")


def parse_filter(raw: object) -> Filter:
    """Read a filter as it comes out of JSON; raises ``InvalidInput`` (code ``invalid_filter``) naming the
    field and what is allowed.

    An empty object is a filter that every document passes.
    """
    if not isinstance(raw, Mapping):
        raise _invalid("filter", 'a filter is an object such as {"department": "hr"}')
    if len(raw) > MAX_FIELDS:
        raise _invalid("filter", f"a filter has at most {MAX_FIELDS} fields")
    conditions: list[Condition] = []
    for name, wanted in raw.items():
        if not isinstance(name, str) or not name:
            raise _invalid("filter", "a field's name is a text that is not empty")
        if name.startswith("$"):
            raise _invalid(f"filter.{name}", "an operator stands within a field; all fields of a filter must match")
        if isinstance(wanted, Mapping):
            conditions += _operators(name, wanted)
        else:
            conditions.append(Condition(name, "$eq", (_scalar(name, f"filter.{name}", wanted),)))
    return Filter(tuple(sorted(conditions, key=lambda c: (c.field, c.operator))))


def _operators(name: str, wanted: Mapping[Any, Any]) -> list[Condition]:
    if not wanted:
        raise _invalid(f"filter.{name}", f"the object is empty; it holds at least one of {', '.join(OPERATORS)}")
    conditions = []
    for operator, value in wanted.items():
        path = f"filter.{name}.{operator}"
        if operator not in OPERATORS:
            raise _invalid(path, f"unknown operator; allowed are {', '.join(OPERATORS)}")
        if operator in ("$in", "$nin"):
            if not isinstance(value, Sequence) or isinstance(value, str | bytes):
                raise _invalid(path, f"{operator} takes a list of values")
            if len(value) > MAX_VALUES:
                raise _invalid(path, f"{operator} takes at most {MAX_VALUES} values")
            conditions.append(Condition(name, operator, tuple(_scalar(name, path, item) for item in value)))
            continue
        scalar = _scalar(name, path, value)
        if operator in _ORDERINGS and (scalar is None or isinstance(scalar, bool)):
            raise _invalid(path, f"{operator} takes a number, a text or a date")
        conditions.append(Condition(name, operator, (scalar,)))
    return conditions


def _scalar(name: str, path: str, value: object) -> Scalar:
    if isinstance(value, list | tuple):
        raise _invalid(path, "a list stands after $in or $nin")
    if value is not None and not isinstance(value, str | int | float):
        raise _invalid(path, "a value is a text, a number, true, false or null")
    if isinstance(value, float) and not math.isfinite(value):
        raise _invalid(path, "a number must be finite")
    if name in _DATES and value is not None and (not isinstance(value, str) or _moment(value) is None):
        raise _invalid(
            path,
            f"{name} is compared with an ISO 8601 date or time such as 2026-01-31 or 2026-01-31T09:00:00Z",
        )
    if name == "version" and value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _invalid(path, "version is compared with a number")
    return value


def moment_of(facts: DocumentFacts, name: str) -> datetime | None:
    """The moment (UTC) that a field of the document holds, of several the latest; ``None`` where it is no date."""
    kinds = [comparable(value) for value in field_values(facts, "", name)]
    return max((value for kind, value in kinds if kind == "moment"), default=None)


def _invalid(path: str, message: str) -> InvalidInput:
    return InvalidInput(f"{path}: {message}.", code="invalid_filter", errors=(FieldError(path, message),))


def field_values(facts: DocumentFacts, collection: str, name: str) -> list[Any]:
    """The document's values of a field: a list's items, or the one value; ``[None]`` where there is none."""
    found: Any
    if name == "collection":
        found = collection
    elif name in DOCUMENT_FIELDS:
        found = getattr(facts, name)
    elif name in facts.metadata:
        found = facts.metadata[name]
    else:
        found = _inner(facts.metadata, name.removeprefix("metadata."))
    return items(found)


def items(found: Any) -> list[Any]:
    """What a filter compares of a field: the items of a list, or the one value; an empty list is as none."""
    if isinstance(found, list | tuple):
        return list(found) or [None]
    return [found]


def _inner(metadata: Mapping[str, Any], path: str) -> Any:
    if path in metadata:
        return metadata[path]
    found: Any = metadata
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def acceptance(operator: str) -> Acceptance:
    """Which signs of ``actual - wanted`` an operator accepts; those of ``$ne`` and ``$nin`` are ``$eq``'s, to be negated then."""
    return _ORDERINGS.get(operator, _is_zero)


def _is_zero(sign: int) -> bool:
    return sign == 0


def compares(actual: Any, wanted: Scalar, accept: Acceptance) -> bool:
    """Whether the sign of ``actual - wanted`` is accepted; never for values of different kinds."""
    left_kind, left = comparable(actual)
    right_kind, right = comparable(wanted)
    if isinstance(actual, str) and isinstance(wanted, str) and left_kind != right_kind:
        left, right = actual, wanted  # a date and another text are both texts
    elif left_kind != right_kind or left_kind == "other":
        return False
    return accept(int(left > right) - int(left < right))


def comparable(value: Any) -> tuple[Kind, Any]:
    """A value's kind and what is compared of it; ``other`` (an object, a list, a float that is no number) is equal to nothing."""
    if value is None:
        return "null", 0
    if isinstance(value, datetime):
        return "moment", in_utc(value)
    if isinstance(value, str):
        moment = _moment(value)
        return ("text", value) if moment is None else ("moment", moment)
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int) or (isinstance(value, float) and not math.isnan(value)):
        return "number", value
    return "other", None


def _moment(text: str) -> datetime | None:
    if not _ISO_DATE.match(text):
        return None
    return _remembered(text) if len(text) <= _REMEMBERED else _read(text)


def _read(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return in_utc(moment)


# A filter's own dates are read with every document; the limit keeps long texts that begin with a date out of memory.
_REMEMBERED = 64
_remembered = lru_cache(maxsize=4096)(_read)
