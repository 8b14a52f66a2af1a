"""Numbers and tables, as cards, pages and benchmarks share them."""

import pytest

from zoo.analysis.docs import tables


def test_one_is_no_plural():
    assert [tables.counted(count, "skip connection") for count in (0, 1, 2, 1000)] == [
        *("0 skip connections", "1 skip connection", "2 skip connections", "1,000 skip connections")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (0.04213, "0.0421"),
        (1.0, "1.00"),
        (21.75, "21.8"),
        (99.96, "100"),
        (1234.5, "1,234"),
    ],
)
def test_numbers_have_three_digits_that_count(value, text):
    assert tables.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.981234, "0.9812"),
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (2e-5, "2e-05"),
        (123456.0, "1.235e+05"),
        (-0.5, "-0.5000"),
    ],
)
def test_a_metric_has_four_digits(value, text):
    assert tables.metric(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (12.46, "12.5 s"), (119.6, "2 min 0 s"), (5999, "99 min 59 s"), (7265, "2 h 1 min")],
)
def test_a_duration_is_in_units_that_fit(seconds, text):
    assert tables.duration(seconds) == text


def test_a_spread_is_median_least_and_most():
    assert tables.spread({"median": 2.0, "least": 0.5, "most": 110.0}) == "2.00 (0.500 to 110)"
    assert tables.spread(None) == "-"


def test_a_table_keeps_its_columns():
    lines = tables.markdown(["name", "n"], [["a|b", "1"]], right=(1,))
    assert lines == ["| name | n |", "|---|---:|", "| a\\|b | 1 |"]


def test_sides_stand_in_one_order():
    ratio = {"median": 2.0, "least": 1.0, "most": 3.0}
    measured = {"times_slower": ratio, "skipped": None}
    nothing = {"times_slower": None, "skipped": "gone"}
    works = [
        {
            "title": "A",
            "sides": {"zoo": {**nothing, "skipped": None}, "own": measured, "torch": measured, "jax": nothing},
        },
        {
            "title": "B",
            "sides": {"keras": measured, "jax": nothing, "torch": {**nothing, "skipped": tables.NO_SUCH_SIDE}},
        },
    ]
    found = tables.slower(works)
    assert list(found) == ["keras", "torch", "own"]
    assert found["keras"] == {1: (2.0, 1.0, 3.0)}
    assert tables.not_measured(works) == {("JAX", "gone"): ["A", "B"]}
