"""Gold items: a question, whether the documents answer it, and where.

Evidence is anchored to document text, never to chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from infra.errors import InvalidInput

_AT = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")

Text = Annotated[str, Meta(min_length=1)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One place that answers a question: as narrow as it is known, from a whole document to a range of
    characters.

    ``char_start``/``char_end`` count in the document's extracted text; ``quote`` is looked up there with
    whitespace normalised. ``page`` is 1-based. ``sha256`` is of the extracted text
    (UTF-8): it tells when the document has changed under the gold item. ``grade`` is a graded relevance (1 =
    relevant; higher = more so).
    """

    external_id: Annotated[str, Meta(min_length=1, max_length=1024)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    page: Annotated[int, Meta(ge=1)] | None = None
    char_start: Annotated[int, Meta(ge=0)] | None = None
    char_end: Annotated[int, Meta(ge=1)] | None = None
    quote: Text | None = None
    grade: Annotated[int, Meta(ge=1)] = 1

    @property
    def whole_document(self) -> bool:
        """Whether nothing narrower than the document is named."""
        return self.page is None and self.char_start is None and self.quote is None


class GoldItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question with its truth, in the contract's form.

    ``groups`` are those of the caller who asks: absent = a caller who reads everything. ``facts`` are
    strings that a right answer contains. Evidence of an unanswerable item is not scored.
    """

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    question: Text
    answerable: bool
    answer: str | None = None
    facts: tuple[Text, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    groups: tuple[Text, ...] | None = None
    kind: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def only_judged(self) -> bool:
        """Whether it says which documents are relevant, and nothing of the answer: a retrieval judgement."""
        return self.answerable and not self.answer and not self.facts and all(e.whole_document for e in self.evidence)


def to_body(item: GoldItem) -> dict[str, Any]:
    """The item as the contract's JSON object, without absent fields; ``item_from`` reads it back."""
    # By way of JSON, for lists: a body must equal the one that comes back from the database.
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(item))
    return body


def item_from(body: Any, where: str) -> GoldItem:
    """Read one item strictly.

    ``where`` (file and line) starts the message of the ``InvalidInput`` that a bad one raises.
    """
    try:
        item = msgspec.convert(body, GoldItem)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{where}: {_explain(str(error))}", code="bad_gold_item") from None
    if not item.question.strip():
        raise InvalidInput(f"{where}: question is blank; it must be a text.", code="bad_gold_item")
    for number, evidence in enumerate(item.evidence):
        field = f"evidence[{number}]"
        if (evidence.char_start is None) != (evidence.char_end is None):
            raise InvalidInput(
                f"{where}: {field} must have both char_start and char_end, or neither.", code="bad_gold_item"
            )
        start, end = evidence.char_start, evidence.char_end
        if start is not None and end is not None and start >= end:
            raise InvalidInput(f"{where}: {field} must have char_start < char_end.", code="bad_gold_item")
        if evidence.quote is not None and not evidence.quote.strip():
            raise InvalidInput(f"{where}: {field}.quote is blank; leave it out instead.", code="bad_gold_item")
    return item


def items_from(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[GoldItem]:
    """Read ``(where, body)`` rows; an id that comes twice is refused, naming both places."""
    seen: dict[str, str] = {}
    for where, body in rows:
        item = item_from(body, where)
        if item.id in seen:
            raise InvalidInput(
                f"{where}: the id {item.id!r} is taken by {seen[item.id]}; ids must differ.",
                code="bad_gold_item",
            )
        seen[item.id] = where
        yield item


def _explain(message: str) -> str:
    found = _AT.search(message)
    field = found["field"] if found else ""
    reason = _AT.sub("", message)
    unknown = _UNKNOWN.match(reason)
    if unknown:
        kind = Evidence if field.startswith("evidence") else GoldItem
        prefix = f"{field}." if field else ""
        return f"{prefix}{unknown['name']} is not a field; allowed: {', '.join(kind.__struct_fields__)}."
    return f"{field + ': ' if field else ''}{reason.replace('`', '').rstrip('.')}."
