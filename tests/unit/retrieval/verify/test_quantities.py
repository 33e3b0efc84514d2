import pytest

from retrieval.verify.quantities import find_quantities, same


def read(text: str) -> list[tuple[float, str]]:
    return [(quantity.value, quantity.kind) for quantity in find_quantities(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.25 days", [(2.25, "duration")]),
        ("$1,200 or 1,200.50", [(1200.0, "money:usd"), (1200.5, "")]),
        ("US$5m and £3bn", [(5e6, "money:usd"), (3e9, "money:gbp")]),
        ("5 million dollars", [(5e6, "money:usd")]),
        ("EUR 5.50", [(5.5, "money:eur")]),
        ("31 March 2025", [(331.0, "date"), (2025.0, "")]),
        ("March 31st", [(331.0, "date")]),
        ("2025-03-31", [(2025.0, ""), (331.0, "date")]),
        ("twelve months", [(12.0, "months")]),
        ("two years", [(24.0, "months")]),
        ("twenty-five percent or 25%", [(25.0, "percent"), (25.0, "percent")]),
        ("one hundred and twenty people", [(120.0, "")]),
        ("9:30 am, 5 p.m., noon", [(570.0, "time"), (1020.0, "time"), (720.0, "time")]),
        ("10 business days", [(10.0, "duration")]),
        ("30-60 days", [(30.0, "duration"), (60.0, "duration")]),
        ("a 5-day week", [(5.0, "duration")]),
        ("v2.1, Zeta-7, ISO9001, 10.5.2 and mail@a1.org", []),
        ("the second one, and one more", [(2.0, "")]),
        ("you may 3 times", [(3.0, "")]),
    ],
)
def test_what_is_read(text: str, expected: list[tuple[float, str]]) -> None:
    assert read(text) == [(pytest.approx(value), kind) for value, kind in expected]


@pytest.mark.parametrize(
    ("claimed", "proven", "expected"),
    [
        ("2 weeks", "14 days", True),
        ("12 months", "1 year", True),
        ("12 months", "12 weeks", False),
        ("2.25 days", "2.25 weeks", False),
        ("5 dollars", "5 euros", False),
        ("5 percent", "5 dollars", False),
        ("31 March", "March 31", True),
        ("31 March", "30 March", False),
        ("17:00", "5 pm", True),
        ("9:00", "9 pm", True),
        ("0:30", "12:30", False),
        ("4 weeks", "4", True),
        ("5 weeks", "4", False),
        ("about 20 km", "20.4 km", True),
        ("20 km", "20.4 km", False),
        ("twelve", "12", True),
    ],
)
def test_what_proves_what(claimed: str, proven: str, expected: bool) -> None:
    assert same(find_quantities(claimed)[0], find_quantities(proven)[0]) is expected


def test_positions() -> None:
    (quantity,) = find_quantities("It costs 14 florins.")
    assert (quantity.start, quantity.end, quantity.unit) == (9, 11, "florin")
