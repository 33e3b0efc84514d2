"""Which documents of a file pass: the answers of ``Filter.matches`` and ``Access.may_read`` for all of them at once.

A condition costs a few binary searches for each of its values, and one step for each document that has an accepted one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.access import Access
from retrieval.facts.columns import EVERYONE, GROUPS, columns_of_field, group_key
from retrieval.facts.postings import Postings
from retrieval.facts.value_keys import sought_keys
from retrieval.filters import Condition, Filter, acceptance, compares

Mask = NDArray[np.bool_]

_EQUAL = acceptance("$eq")


def passing(postings: Postings, documents: int, access: Access, filter_: Filter | None, collection: str) -> Mask:
    """A new mask over the documents: true for what the caller may read and the filter lets pass."""
    mask = (
        np.ones(documents, dtype=np.bool_) if access.groups is None else _readable(postings, documents, access.groups)
    )
    for condition in filter_.conditions if filter_ else ():
        mask &= _fulfilling(postings, documents, condition, collection)
    return mask


def _readable(postings: Postings, documents: int, groups: frozenset[str]) -> Mask:
    mask = np.zeros(documents, dtype=np.bool_)
    column = postings.column(GROUPS)
    if column is not None:
        for key in (EVERYONE, *map(group_key, groups)):
            for ordinals in postings.accepted(column, key, _EQUAL):
                mask[ordinals] = True
    return mask


def _fulfilling(postings: Postings, documents: int, condition: Condition, collection: str) -> Mask:
    accept = acceptance(condition.operator)
    if condition.field == "collection":
        accepted = any(compares(collection, wanted, accept) for wanted in condition.values)
        return np.full(documents, accepted != condition.negated)
    columns = [postings.column(name) for name in columns_of_field(condition.field)]
    mask = np.full(documents, any(compares(None, wanted, accept) for wanted in condition.values))
    # The first column that a document is in counts, so they are gone through from the last, and each overwrites those before.
    for column in reversed([column for column in columns if column is not None]):
        if mask.any():
            mask[postings.present(column)] = False
        for wanted in condition.values:
            for key in sought_keys(wanted):
                for ordinals in postings.accepted(column, key, accept):
                    mask[ordinals] = True
    return np.logical_not(mask, out=mask) if condition.negated else mask
