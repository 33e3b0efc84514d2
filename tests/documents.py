"""Random documents, filters and accesses, small enough to meet and odd enough to tell one rule from another."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from retrieval.access import Access
from retrieval.filters import OPERATORS, Condition, DocumentFacts, Filter

HUGE = 10**400
NUMBERS = [
    0,
    1,
    -1,
    1.0,
    -0.0,
    0.5,
    2**53,
    2**53 + 1,
    float(2**53),
    -(2**53) - 1,
    2**63,
    HUGE,
    -HUGE,
    HUGE + 1,
    1e308,
    5e-324,
]
TEXTS = ["", "a", "b", "a b", "1", "é", "\U0001f600", "\uffff", "2025", "2025-02-30", "later"]
DATES = [
    "2025-06-30",
    "2025-06-30T00:00:00",
    "2025-06-30T00:00:00Z",
    "2025-06-30T02:00:00+02:00",
    "2025-06-30T00:00:00.000001Z",
    "2025-07-01",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
]
SCALARS = [None, True, False, *NUMBERS, *TEXTS, *DATES]
NAMES = ["a", "b", "a.b", "a.b.a", "metadata", "metadata.a", "metadata.a.b", "title", "id", "collection", "version", ""]
GROUPS = ["hr", "eng", "2025-06-30", ""]

scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.sampled_from(TEXTS)
    | st.sampled_from(DATES)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
values = st.recursive(
    scalars | st.sampled_from([float("inf"), float("-inf"), float("nan")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=2), values, max_size=4)
moments = st.none() | st.sampled_from(
    [
        datetime(2025, 6, 30),  # noqa: DTZ001 - as a database that drops zones gives it
        datetime(2025, 6, 30, tzinfo=UTC),
        datetime(2025, 6, 30, 2, tzinfo=timezone(timedelta(hours=2))),
        datetime(2025, 7, 1, 0, 0, 0, 1, tzinfo=UTC),
    ]
)
some_text = st.none() | st.sampled_from(TEXTS + DATES)
groups = st.lists(st.sampled_from(GROUPS), max_size=3)


@st.composite
def documents(draw: st.DrawFn, max_size: int = 6) -> list[DocumentFacts]:
    """Documents of different ids, sorted by these."""
    ids = draw(st.sets(st.sampled_from(TEXTS + DATES) | st.text(max_size=3), max_size=max_size))
    return [
        DocumentFacts(
            id_,
            draw(st.sampled_from(TEXTS + DATES)),
            draw(some_text),
            draw(some_text),
            draw(some_text),
            draw(st.integers(0, 3)),
            draw(metadata),
            draw(st.none() | groups.map(tuple)),
            draw(moments),
            draw(moments),
        )
        for id_ in sorted(ids)
    ]


fields = st.sampled_from(
    [*NAMES, "metadata.", ".", "created_at", "updated_at", "url", "mime", "external_id", "metadata.title"]
)
conditions = st.builds(
    lambda field, operator, wanted: Condition(
        field, operator, tuple(wanted if operator in ("$in", "$nin") else wanted[:1])
    ),
    fields,
    st.sampled_from(OPERATORS),
    st.lists(scalars, min_size=1, max_size=3),
)
filters = st.none() | st.lists(conditions, max_size=3).map(lambda c: Filter(tuple(c)))
accesses = st.none().map(Access) | groups.map(lambda g: Access(frozenset(g)))
