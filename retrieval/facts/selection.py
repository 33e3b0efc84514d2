"""Which of many documents in memory pass: the answers of ``Filter.matches`` and ``Access.may_read``, found faster.

A condition is decided once for each distinct value, and a long ``$in`` by one look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from retrieval.access import Access
from retrieval.facts.value_keys import sought_keys, stored_keys
from retrieval.filters import Condition, DocumentFacts, Filter, acceptance, compares, field_values

# Not moments, of which nearly every document has its own.
_DECIDED_ONCE = frozenset({str, int, float, bool})


def passing_documents(
    documents: Iterable[DocumentFacts], access: Access, filter_: Filter | None, collection: str
) -> Iterator[DocumentFacts]:
    """Those of ``documents`` that the caller may read and the filter lets pass, in the order given."""
    found = iter(documents)
    if access.groups is not None:
        found = (facts for facts in found if access.may_read(facts.allowed_groups))
    for condition in filter_.conditions if filter_ else ():
        found = filter(_test(condition, collection), found)
    return found


def _test(condition: Condition, collection: str) -> Callable[[DocumentFacts], bool]:
    decide, field, negated = _decision(condition), condition.field, condition.negated
    # With its type, because 1 and True are equal to Python and not to a filter.
    decided: dict[tuple[type, Any], bool] = {}

    def accepted(value: Any) -> bool:
        if type(value) not in _DECIDED_ONCE:
            return decide(value)
        known = decided.get((type(value), value))
        if known is None:
            known = decided[type(value), value] = decide(value)
        return known

    def test(facts: DocumentFacts) -> bool:
        return any(map(accepted, field_values(facts, collection, field))) != negated

    return test


def _decision(condition: Condition) -> Callable[[Any], bool]:
    accept = acceptance(condition.operator)
    if accept is acceptance("$eq"):
        sought = frozenset(key for wanted in condition.values for key in sought_keys(wanted))
        return lambda value: not sought.isdisjoint(stored_keys(value))
    return lambda value: any(compares(value, wanted, accept) for wanted in condition.values)
