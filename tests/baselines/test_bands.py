"""What several seeds gave, and the rule by which a recipe holds: against printed tables."""

import pytest
from clones import NOT_RUN

from zoo.baselines.bands import Band, bands_of, compare, metrics_of, worth
from zoo.baselines.recipes import read_recipe
from zoo.baselines.records import read_records
from zoo.errors import RequestError


# Quantiles from printed tables: t(0.995) with 8 degrees of freedom 3.3554, with 4 4.6041; F(0.995; 4, 4) 23.15.
@pytest.mark.parametrize(
    ("measured", "band", "allowed"),
    [
        # Equal deviations d of five seeds each: 3.3554 d sqrt(2 / 5).
        (Band(0.9, 0.01, 5), Band(0.9, 0.01, 5), 3.3554 * 0.01 * 0.63246),
        # Pooled: sqrt((4 0.01^2 + 4 0.02^2) / 8) = 0.015811.
        (Band(0.9, 0.01, 5), Band(0.9, 0.02, 5), 3.3554 * 0.015811 * 0.63246),
        # A single seed: the band's own deviation, 4.6041 d sqrt(1 + 1 / 5).
        (Band(0.9, 0.0, 1), Band(0.9, 0.01, 5), 4.6041 * 0.01 * 1.09545),
        # 0.001 is less than the worth of an example, 0.002.
        (Band(0.9, 0.001, 5), Band(0.9, 0.001, 5), 3.3554 * 0.002 * 0.63246),
    ],
)
def test_the_means_may_differ_by_what_the_tables_say(measured, band, allowed):
    for sign in (-1, 1):
        inside = Band(measured.mean + sign * 0.999 * allowed, measured.deviation, measured.seeds)
        outside = Band(measured.mean + sign * 1.001 * allowed, measured.deviation, measured.seeds)
        assert compare(inside, band, 0.002)[0] is True
        assert compare(outside, band, 0.002)[0] is False
    assert f"at most {allowed:.4f}" in compare(measured, band, 0.002)[1]


def test_the_spreads_may_differ_by_what_the_tables_say():
    most = 23.15**0.5
    band = Band(0.9, 0.01, 5)
    for ratio, expected in ((0.999 * most, True), (1.001 * most, False)):
        assert compare(Band(0.9, 0.01 * ratio, 5), band, 0.001)[0] is expected
        assert compare(Band(0.9, 0.01 / ratio, 5), band, 0.001)[0] is expected
    # Ten seeds above five: F(0.995; 9, 4) = 21.14; below: F(0.995; 4, 9) = 7.96.
    assert compare(Band(0.9, 0.01 * 4.59, 10), band, 0.001)[0] is True
    assert compare(Band(0.9, 0.01 * 4.61, 10), band, 0.001)[0] is False
    assert compare(Band(0.9, 0.01 / 2.81, 10), band, 0.001)[0] is True
    assert compare(Band(0.9, 0.01 / 2.83, 10), band, 0.001)[0] is False
    # One seed has no spread.
    assert "spread" not in compare(Band(0.9, 0.0, 1), band, 0.001)[1]


def test_an_episode_is_worth_more_than_a_pair():
    assert worth("one_shot/roc_auc", 4824) == 1 / 4824
    assert worth("one_shot/one_shot_accuracy", 4824) == 1 / 400
    # What was measured is a whole number of episodes.
    for record in read_records("siamese_glyphs"):
        episodes = 400 * record["result"]["metrics"]["one_shot/one_shot_accuracy"]
        assert episodes == pytest.approx(round(episodes))


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (["train/accuracy", "test/top5_accuracy", "test/loss", "test/accuracy"], ["test/accuracy"]),
        (["test/b_accuracy", "test/a_accuracy", "test/a_top5_accuracy"], ["test/a_accuracy", "test/b_accuracy"]),
        (["test/size_absolute_error", "test/loss"], ["test/size_absolute_error"]),
        (["one_shot/roc_auc", "one_shot/accuracy", "train/accuracy"], ["one_shot/roc_auc"]),
        (
            ["one_shot/roc_auc", "one_shot/accuracy", "one_shot/one_shot_accuracy", "one_shot/one_shot_pixel_accuracy"],
            ["one_shot/one_shot_accuracy", "one_shot/roc_auc"],
        ),
    ],
)
def test_a_recipe_is_judged_by_what_its_runs_are_about(metrics, expected):
    records = [{"result": {"metrics": dict.fromkeys(metrics, 0.5)}}]
    assert metrics_of(None, records) == expected


def test_a_recipe_is_also_judged_by_what_others_report_of_it(clone):
    records = [{"result": {"metrics": {"validation/accuracy": 0.7, "validation/top5_accuracy": 0.9}}}]
    clone.write(NOT_RUN, "validation/top5_accuracy 0.8993, Someone 2014")
    assert metrics_of(read_recipe("tiny"), records) == ["validation/accuracy", "validation/top5_accuracy"]
    clone.write(NOT_RUN, "none for this net; near it is validation/top5_accuracy 0.8993")
    assert metrics_of(read_recipe("tiny"), records) == ["validation/accuracy"]


def test_mean_and_deviation_are_those_of_a_sample():
    records = [{"config": "tiny", "result": {"metrics": {"test/accuracy": value}}} for value in (0.90, 0.92, 0.94)]
    assert str(bands_of(records, ["test/accuracy"])["test/accuracy"]) == "0.9200 +- 0.0200 (3)"
    assert str(bands_of(records[:1], ["test/accuracy"])["test/accuracy"]) == "0.9000 (1)"
    with pytest.raises(RequestError, match="unknown metric of tiny 'test/acuracy'; did you mean test/accuracy"):
        bands_of(records, ["test/acuracy"])
