"""What a config file says of itself, and what it must say."""

import pytest
from clones import NOT_RUN, PUBLISHED

from zoo.baselines.agreement import measured_lines, measured_texts
from zoo.baselines.bands import Band
from zoo.baselines.recipes import read_recipe
from zoo.errors import RequestError


def test_a_recipe_is_read_as_it_is_written(clone):
    bands = {"test/a_accuracy": Band(0.8817, 0.006, 5), "one_shot/roc_auc": Band(0.99, 0.001, 5)}
    lines = measured_lines(bands) + "Time:      5 s\n"
    clone.write(lines, "none on this dataset; near it is test/accuracy 0.9")
    recipe = read_recipe("tiny")
    assert (recipe.title, recipe.tier, recipe.time) == ("A recipe: of seconds.", "cpu", "5 s")
    assert recipe.measured == measured_texts(bands)
    assert (recipe.published_metrics, recipe.published_figures) == (("test/accuracy",), {})
    clone.write(NOT_RUN)
    recipe = read_recipe("tiny")
    assert recipe.measured == ("not yet run here",)
    assert recipe.published_metrics == ("test/accuracy",)
    assert recipe.published_figures == {"test/accuracy": "0.921"}
    assert recipe.published == "test/accuracy 0.921, Someone 1999, table 1 (7.9 % error)"


def test_figures_of_another_net_are_marked(clone):
    clone.write(NOT_RUN, "test/loss 0.5, A; test/accuracy 0.9, B\n           (another net: wider); test/error 0.1, C")
    recipe = read_recipe("tiny")
    assert list(recipe.published_figures) == ["test/loss", "test/accuracy", "test/error"]
    assert recipe.other_nets == {"test/accuracy"}


@pytest.mark.parametrize(
    ("measured", "published", "message"),
    [
        ("", PUBLISHED, "has no line that begins with Measured:"),
        (NOT_RUN.replace("M", "Tier:      big\nM"), PUBLISHED, "the tier of configs/tiny.py is 'big'"),
    ],
)
def test_a_recipe_that_says_too_little_is_refused(clone, measured, published, message):
    clone.write(measured, published)
    if "big" in message:
        clone.config.write_text(clone.config.read_text().replace("Tier:      cpu\n", ""))
    with pytest.raises(RequestError, match=message):
        read_recipe("tiny")
    assert clone("tiny", "--check")[0] == 1


def test_a_recipe_that_nobody_has_run_names_a_metric(clone):
    clone.write(NOT_RUN, "none")
    message = "configs/tiny.py was not yet run, and names no metric as published; add one"
    assert clone("tiny", "--check")[:2] == (1, f"{message}\n")
    assert clone("tiny") == (2, "", f"error: {message}\n")
    assert clone.started() == []
