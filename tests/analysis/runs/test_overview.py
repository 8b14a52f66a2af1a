"""The page of all records: its numbers are theirs, and what is missing is said."""

import json
from types import SimpleNamespace

import made
import numpy as np
import pytest

import zoo
from zoo.analysis.docs import tables
from zoo.analysis.runs import figures, overview
from zoo.baselines.records import RESULTS
from zoo.cli.report import known_recipes
from zoo.errors import RequestError
from zoo.runs import records


def recipe(metrics, other_nets=(), **published):
    return SimpleNamespace(
        name="recipe", published_metrics=tuple(metrics), published_figures=published, other_nets=frozenset(other_nets)
    )


RECIPES = {
    "small": (recipe(["test/accuracy"]), made.config()),
    "resnet20_cifar10": (recipe(["test/accuracy"], **{"test/accuracy": "0.9125"}), made.config(model="resnet20")),
    "another": (
        recipe(["test/accuracy"], ["test/accuracy"], **{"test/accuracy": "0.75"}),
        made.config(model="googlenet"),
    ),
    "mlp_other": (recipe(["test/accuracy"], **{"test/accuracy": "0.5"}), made.config(model="mlp")),
}


def side(title, median, ratio=None, skipped=None):
    measured = {} if skipped else {"median": median, "images_per_second": 1e5, "peak_gib": 0.25}
    empty = dict.fromkeys(("median", "images_per_second", "peak_gib", "fraction_of_matmul"))
    times = ratio and {"median": ratio, "least": ratio - 0.5, "most": ratio + 0.5}
    return {**empty, **measured, "title": title, "times_slower": times, "skipped": skipped}


BENCHMARKS = {
    "machine": {"processor": "<cpu>", "cores": 2, "matmul_gflops": 301.4},
    "versions": {"tensorflow": "2.21.0"},
    "works": {
        "mlp": {
            "title": "MLP",
            "kind": "train",
            "rounds": 7,
            "sides": {
                "zoo": side("zoo", 0.0421),
                "keras": side("Keras `fit`", 0.916, 21.75),
                "torch": side(None, None, skipped="<torch> is not installed"),
                "jax": side(None, None, skipped=tables.NO_SUCH_SIDE),
            },
        },
        "start": {
            "title": "`train.py <1>`",
            "kind": "start",
            "rounds": 3,
            "sides": {"zoo": side("zoo", 3.5), "keras": side("Keras", 7.0, 2.0)},
        },
    },
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for seed in (0, 1, 2):
        made.record(folder, "small", seed, curve=made.curve(values=(1.0, 0.5 + seed / 10), accuracy=0.5 + seed / 10))
    (folder / "benchmarks.json").write_text(json.dumps(BENCHMARKS))
    output = folder / "page" / "of all"
    return made.Page(overview.write_overview(folder, output, RECIPES)), output


def test_the_page_stands_alone(whole):
    whole[0].check_alone()


def test_baselines_are_mean_and_deviation_over_seeds(whole):
    rows = {row[0]: row[1:] for row in whole[0].tables["baselines"][1:]}
    values = [0.5, 0.6, 0.7]
    # simple_cnn of 9 x 7 x 3 images and 4 classes.
    model = zoo.build_model("simple_cnn", (9, 7, 3), 4)
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    measured = [f"{np.mean(values):.4f}", f"{np.std(values, ddof=1):.4f}", "3", "none"]
    assert rows["small"][:5] == ["test/accuracy", *measured]
    assert rows["small"][5].startswith(f"{parameters:,} (")
    assert rows["resnet20_cifar10"] == ["test/accuracy", "not yet run here", "", "", "0.9125", "", ""]


def test_curves_have_the_spread(whole):
    page, output = whole
    assert "loss; at the end train 0.6 (0.5 to 0.7), test 1.2 (1 to 1.4)" in page.text["figcaption"]
    assert (output / "curve_small_loss.png").exists()
    assert (output / "curve_small_accuracy.png").exists()


def test_a_band_is_over_the_epochs_that_all_have(tmp_path):
    rows = made.curve(values=(1.0, 0.5))
    found = [
        records.read(made.record(tmp_path, "a", 0, curve=rows)),
        records.read(made.record(tmp_path, "a", 1, curve=rows[:2])),
    ]
    line = overview.band(found, "train", "loss", color=0, dash=0)
    assert (line.x, line.y, line.low, line.high) == ([1.0], [1.0], [1.0], [1.0])
    assert overview.band(found[:1], "test", "loss", color=0, dash=0).low is None


def test_accuracy_against_cost_takes_measured_and_published(whole):
    page, output = whole
    (name,) = {path.name for path in output.glob("cost_*_parameters.png")}
    assert name.startswith("cost_synthetic")
    labels = [line for line in page.source.split('aria-label="') if line.startswith("test/accuracy on synthetic")]
    assert len(labels) == 2
    defaults = zoo.model_info("resnet20")
    epochs = made.config().epochs
    assert f"resnet20, {epochs} epochs 0.9125 with {defaults.parameters:,}" in labels[0]
    assert f"resnet20, {epochs} epochs 0.9125 with {defaults.macs:,}" in labels[1]
    assert f"simple_cnn, {epochs} epochs 0.6000 with " in labels[0]
    # What others report of another net has no place at this one's cost.
    assert not any("googlenet" in label for label in labels)
    assert "Left out, since it is published of another net: test/accuracy of another." in page.text["p"]


def test_accuracy_with_a_second_input_is_told_apart(tmp_path):
    recipes = {
        name: (
            recipe(["test/accuracy"], **{"test/accuracy": "0.5"}),
            made.config(model="mlp", epochs=epochs, condition=told),
        )
        for name, epochs, told in (("a", 3, ""), ("b", 8, "alphabet"))
    }
    page = made.Page(overview.write_overview(tmp_path, tmp_path, recipes))
    assert ": mlp, 3 epochs 0.5000 with" in page.source
    assert "; mlp, 8 epochs, told the alphabet 0.5000 with" in page.source


def test_what_was_measured_once_is_said(tmp_path):
    for seed in (0, 1):
        rows = made.curve(values=(1.0, 0.5 + seed), one_shot_accuracy=0.25 + seed / 2)
        rows = [row for row in rows if row["split"] == "train" or row["epoch"] == 2]
        made.record(tmp_path, "small", seed, curve=rows)
    recipes = {"small": (recipe(["test/one_shot_accuracy"], **{"test/one_shot_accuracy": "0.5"}), made.config())}
    rows = [("small", "test/one_shot_accuracy", None)]
    parts = "".join(overview.learning(records.read_records(tmp_path), rows, {"simple_cnn": 0}, tmp_path))
    words = "test/loss 2 (1 to 3); test/one_shot_accuracy 0.5 (0.25 to 0.75)."
    assert f"<p>Measured once: {words}</p>" in parts
    assert "loss; at the end train 1 (0.5 to 1.5)</figcaption>" in parts
    with pytest.raises(
        RequestError, match="unknown metric of small 'test/one_shot_accuracy'; did you mean test/accuracy"
    ):
        overview.write_overview(tmp_path, tmp_path / "new", recipes)
    assert not (tmp_path / "new").exists()


def test_throughput_is_that_of_the_file(whole):
    page, output = whole
    assert {path.name for path in output.glob("throughput*")} == {"throughput_train.png", "throughput_start.png"}
    assert "Not measured. PyTorch, <torch> is not installed: MLP." in page.text["p"]
    assert "on <cpu>, 2 cores, which multiply matrices at 301 GFLOP/s" in page.text["p"]
    assert page.tables["throughput"][1:] == [
        ["MLP", "zoo", "0.0421 ms", "100,000", "", "0.250", ""],
        ["MLP", "Keras fit", "0.916 ms", "100,000", "21.8 (21.2 to 22.2)", "0.250", ""],
        ["train.py <1>", "zoo", "3.50 s", "100,000", "", "0.250", ""],
        ["train.py <1>", "Keras", "7.00 s", "100,000", "2.00 (1.50 to 2.50)", "0.250", ""],
    ]
    assert "<code>train.py &lt;1&gt;</code>" in page.source
    assert tables.NO_SUCH_SIDE not in page.source
    assert "`" not in page.source


@pytest.mark.slow
def test_the_records_of_the_repository_make_a_page(tmp_path):
    page = made.Page(overview.write_overview(RESULTS, tmp_path, known_recipes()))
    assert "Medians of " in page.source
    assert "resnet20_digits" in page.source


def test_what_is_missing_is_said(tmp_path):
    (tmp_path / "benchmarks.json").write_text(
        json.dumps({**BENCHMARKS, "works": {}, "machine": {**BENCHMARKS["machine"], "matmul_gflops": None}})
    )
    page = made.Page(overview.write_overview(tmp_path, tmp_path, {}))
    assert "There are no records; python -m zoo reproduce makes them." in page.text["p"]
    assert "No two recipes are of one dataset and one metric." in page.text["p"]
    (tmp_path / "benchmarks.json").unlink()
    page = made.Page(overview.write_overview(tmp_path, tmp_path, RECIPES))
    assert "There is no benchmarks.json; python -m benchmarks makes it." in page.text["p"]
    assert [row[0] for row in page.tables["baselines"][1:3]] == ["another", "mlp_other"]


def test_a_recipe_without_a_file_and_without_data_is_in_the_table(tmp_path):
    fields = {**records.dataclasses.asdict(made.config()), "dataset": "folder:<gone>"}
    made.record(tmp_path, "own", 0, fields=fields)
    page = made.Page(overview.write_overview(tmp_path, tmp_path, {}))
    assert page.tables["baselines"][1] == ["own", "test/accuracy", "0.5000", "0.0000", "1", "", "", ""]
    assert "Not counted: own: " in page.text["p"]
    assert "<gone>" in page.text["p"]


def test_a_model_looks_the_same_in_all_plots_and_like_no_other_beside_it():
    configs = [made.config(model=model, dataset=dataset) for dataset in "ab" for model in ("mlp", "lenet5", "resnet20")]
    configs += [made.config(model=f"resnet{depth}", dataset="c") for depth in (20, 32, 44, 56, 110, 18, 34, 50, 101)]
    looks = overview.model_looks(configs)
    assert looks.keys() == {config.model for config in configs}
    assert len(set(looks.values())) == len(looks)
    for models in (("mlp", "lenet5", "resnet20"), ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")):
        for parts in zip(*(figures.look(looks[model]) for model in models), strict=True):
            assert len(set(parts)) == len(models)


def test_curves_and_costs_show_a_model_in_its_colour(whole):
    page, _ = whole
    (number,) = {overview.model_looks([config for _, config in RECIPES.values()])["simple_cnn"]}
    color, _ = figures.look(number)
    drawn = [svg for svg in page.source.split("<svg")[1:] if "small" in svg[:200] or "simple_cnn" in svg[:400]]
    assert len(drawn) == 4
    assert all(f"stroke: {color}" in svg for svg in drawn)
