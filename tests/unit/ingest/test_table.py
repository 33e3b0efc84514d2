"""Tables as lines of text."""

from __future__ import annotations

from ingest.table import column_count, delimited_rows, html_rows, table_text


def test_rows_are_lines_and_empty_rows_and_columns_go() -> None:
    rows = [["Name", "", "Days"], ["", "", ""], ["Ann", "", "27\nor 29"], ["Bo"]]
    assert table_text(rows) == "Name | Days\nAnn | 27 or 29\nBo |"


def test_a_missing_cell_keeps_its_place() -> None:
    assert table_text([["a", "b", "c"], ["1", "", "3"]]) == "a | b | c\n1 |  | 3"


def test_nothing_gives_nothing() -> None:
    assert table_text([["", " "]]) == ""


def test_a_cell_over_rows_is_repeated_and_one_over_columns_is_padded() -> None:
    markup = (
        "<table><tr><th colspan='2'>Who</th><th>Days</th></tr>"
        "<tr><td rowspan='2'>Ann</td><td>office</td><td>27</td></tr>"
        "<tr><td>ferry</td><td>32</td></tr></table>"
    )
    assert html_rows(markup) == [["Who", "", "Days"], ["Ann", "office", "27"], ["Ann", "ferry", "32"]]


def test_a_senseless_span_is_harmless() -> None:
    rows = html_rows("<table><tr><td colspan='99999999' rowspan='x'>a</td><td>b</td></tr></table>")
    assert rows[0][0] == "a"
    assert len(rows[0]) == 201


def test_codes_keep_their_zeros_and_na_stays() -> None:
    assert delimited_rows("code,region\n007,NA\n1e5,null\n", tabs=False) == [
        ["code", "region"],
        ["007", "NA"],
        ["1e5", "null"],
    ]


def test_the_delimiter_is_found() -> None:
    assert delimited_rows("a;b;c\n1,5;2,5;3\n", tabs=False)[1] == ["1,5", "2,5", "3"]
    assert delimited_rows("a|b\n1|2\n", tabs=False)[1] == ["1", "2"]
    assert delimited_rows("only\none, but long\n", tabs=True) == [["only"], ["one, but long"]]


def test_quoted_cells_hold_delimiters_and_line_breaks() -> None:
    assert delimited_rows('a,b\n"x, y","1\n2"\n', tabs=False)[1] == ["x, y", "1\n2"]


def test_counts_columns_with_content() -> None:
    assert column_count([["a", "", ""], ["b", "", "c"]]) == 2
