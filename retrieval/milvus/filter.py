"""Permissions and filters as Milvus's expressions, which let pass exactly what ``Access.may_read`` and ``Filter.matches`` do.

Permissions and (in)equality become tests of the rows' tags. What Milvus would answer differently (order, with dates as
moments and kinds that are never mixed) is evaluated here on the documents' facts and becomes lists of documents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from retrieval.access import Access
from retrieval.filters import DOCUMENT_FIELDS, Condition, DocumentFacts, Filter
from retrieval.milvus.rows import MAX_GROUPS, field_tag, group_tag, value_tag

# Documents in one list; a longer one is split over several searches.
MAX_LISTED = 4_000
_NOBODY = DocumentFacts(id="", external_id="", title=None, url=None, mime=None, version=0)

Facts = Callable[[], Mapping[str, DocumentFacts]]


def access_expression(access: Access) -> str:
    """Lets pass the rows that the caller may read; empty for an administrator."""
    if access.groups is None:
        return ""
    if not access.groups:
        return "everyone == true"
    tags = [group_tag(group) for group in sorted(access.groups)]
    return f"(everyone == true or {any_of('groups', tags)})"


def filter_expressions(filter_: Filter | None, collection: str, facts: Facts, *, tagged: bool = True) -> list[str]:
    """Expressions whose rows together, each in one of them only, are those that pass; an empty one lets all pass.

    ``facts`` is asked only where an expression cannot say it; ``tagged=False`` where the rows do not hold all tags.
    """
    said: list[str] = []
    left: list[Condition] = []
    for condition in filter_.conditions if filter_ is not None else ():
        if condition.field == "collection":
            if not condition.matches(_NOBODY, collection):
                return []
            continue
        expression = _condition(condition) if tagged else None
        if expression is None:
            left.append(condition)
        else:
            said.append(expression)
    if not left:
        return [" and ".join(said)]
    rest = Filter(tuple(left))
    known = facts()
    passing = [id_ for id_, document in known.items() if rest.matches(document, collection)]
    if len(passing) == len(known):
        return [" and ".join(said)]
    if len(known) - len(passing) <= min(MAX_LISTED, len(passing)):
        failing = sorted(known.keys() - set(passing))
        return [" and ".join([*said, f"document not in {json.dumps(failing)}"])]
    parts = [sorted(passing)[start : start + MAX_LISTED] for start in range(0, len(passing), MAX_LISTED)]
    return [" and ".join([*said, f"document in {json.dumps(part)}"]) for part in parts]


def _condition(condition: Condition) -> str | None:
    """The expression of a condition on equality; ``None`` where there is none that means exactly the same."""
    name = condition.field
    if condition.operator not in ("$eq", "$in", "$ne", "$nin"):
        return None
    if name.startswith("metadata.") or (name not in DOCUMENT_FIELDS and not name):
        return None
    negated = condition.operator in ("$ne", "$nin")
    tests = []
    tags = [tag for value in condition.values if value is not None and (tag := value_tag(name, value)) is not None]
    if tags:
        tests.append(any_of("tags", tags))
    if None in condition.values:
        none = value_tag(name, None)
        tests.append(f'(array_contains(tags, "{none}") or not array_contains(tags, "{field_tag(name)}"))')
    if not tests:
        return "chunk >= -1" if negated else "chunk < -1"
    joined = f"({' or '.join(tests)})"
    return f"not {joined}" if negated else joined


def any_of(field: str, tags: Sequence[str]) -> str:
    """Whether the list ``field`` holds one of ``tags``, which are hexadecimal."""
    return f"array_contains_any({field}, {json.dumps(list(tags))})"


__all__ = ["MAX_GROUPS", "MAX_LISTED", "access_expression", "any_of", "filter_expressions"]
