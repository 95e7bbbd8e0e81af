"""Tables for people: any text comes through, whatever a model wrote."""

import csv
import io

import pytest

from lib import tables


@pytest.mark.parametrize(
    "text", ["a|b", "\ud800 alone", "  blanks ", "1e5", "007", "–", "x\ty", ""]
)
def test_a_table_shows_any_text_as_it_is_and_in_its_column(text):
    head, rule, line = tables.markdown({"name": ["x"], "value": [text]})
    assert len(head) == len(rule) == len(line) or "\t" in text
    assert (
        text.strip().replace("|", "\\|") in line
        and rule.startswith("|:--")
        and rule.endswith("-:|")
    )


def test_a_table_of_no_rows_is_its_head():
    assert len(tables.markdown({"name": [], "value": []})) == 2


@pytest.mark.parametrize(
    "value, shown",
    [
        (True, "True"),
        (None, ""),
        (0.1, "0.1"),
        (3, "3"),
        ("a,b\n", "a,b\n"),
        ("\ud800", "\\ud800"),
        ("007", "007"),
    ],
)
def test_csv_keeps_every_value_as_it_was(value, shown):
    data = tables.csv([{"id": "a", "value": value}], ("id", "value")).decode()
    assert list(csv.reader(io.StringIO(data))) == [["id", "value"], ["a", shown]]


@pytest.mark.parametrize("part, whole, shown", [(1, 8, "12.5%"), (None, 1, "–"), (0.5, 1, "50.0%")])
def test_percent_formats_a_share(part, whole, shown):
    assert tables.percent(part, whole) == shown
