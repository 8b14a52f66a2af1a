"""Runs that begin with weights: which those are, that they are loaded once, and what becomes of the classifier."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from moments import Killed, before_call, kill
from test_loop import CONFIG

import zoo
from zoo.errors import RequestError
from zoo.training.engines.tensorflow import Engine
from zoo.training.evaluation import evaluate
from zoo.training.experiment import make_experiment
from zoo.training.loop import train_and_evaluate
from zoo.training.start import open_start

SOURCE = dataclasses.replace(CONFIG, epochs=1, augment="")


@pytest.fixture(scope="module")
def source(tmp_path_factory, data_dir):
    """A finished run whose weights others begin with."""
    folder = tmp_path_factory.mktemp("source") / "run"
    train_and_evaluate(SOURCE, str(folder), data_dir=data_dir)
    return folder


@pytest.fixture
def config(source):
    return dataclasses.replace(CONFIG, init_weights=str(source), normalize="weights")


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory, data_dir):
    """A run that began with the weights of the other one, and its result."""
    config = dataclasses.replace(CONFIG, init_weights=str(source), normalize="weights")
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, train_and_evaluate(config, str(workdir), data_dir=data_dir)


def weights_of(model):
    # A model that was loaded has another prefix.
    named = {"/".join(variable.path.split("/")[-2:]): variable.numpy() for variable in model.variables}
    return {name: value for name, value in named.items() if "seed" not in name}


def saved(run):
    return weights_of(zoo.load_model(str(run / "model.keras")))


def changed_names(one, other):
    return {name for name in one if not np.array_equal(one[name], other[name])}


def test_a_run_begins_with_the_weights_of_another(source, config, data_dir):
    model = make_experiment(config, data_dir=data_dir).model
    assert changed_names(weights_of(model), saved(source)) == set()
    random = make_experiment(dataclasses.replace(CONFIG), data_dir=data_dir).model
    assert changed_names(weights_of(random), saved(source))


def test_the_record_names_the_file_that_it_began_with(source, finished):
    workdir, _ = finished
    record = json.loads((workdir / "run.json").read_text())
    began, preprocessing = record["init_weights"], record["preprocessing"]
    assert began["name"] == str(source)
    assert re.fullmatch("[0-9a-f]{64}", began["sha256"])
    assert began["new_layers"] == []
    theirs = json.loads((source / "run.json").read_text())["preprocessing"]
    assert (preprocessing["mean"], preprocessing["deviation"]) == (theirs["mean"], theirs["deviation"])


def kill_run(config, workdir, data_dir, monkeypatch, number):
    """A run that dies before it takes a block."""
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", number, kill)
        with pytest.raises(Killed):
            train_and_evaluate(config, str(workdir), data_dir=data_dir)


@pytest.mark.parametrize("number", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_that_goes_on_does_not_load_again(source, finished, config, data_dir, tmp_path, monkeypatch, number):
    moved = tmp_path / "source"
    shutil.copytree(source, moved)
    config = dataclasses.replace(config, init_weights=str(moved))
    kill_run(config, tmp_path / "run", data_dir, monkeypatch, number)
    if number > 1:
        shutil.rmtree(moved)
    resumed = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert resumed["state_sha256"] == finished[1]["state_sha256"]
    shutil.rmtree(moved, ignore_errors=True)
    found = evaluate(config, str(tmp_path / "run"), data_dir=data_dir)["metrics"]
    assert found.items() <= finished[1]["metrics"].items()


def test_a_run_does_not_go_on_from_other_weights(source, config, data_dir, tmp_path, monkeypatch):
    moved, workdir = tmp_path / "source", tmp_path / "run"
    shutil.copytree(source, moved)
    config = dataclasses.replace(config, init_weights=str(moved))
    kill_run(config, workdir, data_dir, monkeypatch, 3)
    model = zoo.load_model(str(moved / "model.keras"))
    model.variables[0].assign(model.variables[0] * 2)
    model.save(moved / "model.keras")
    before = sorted((file.name, file.stat().st_mtime_ns) for file in workdir.rglob("*"))
    with pytest.raises(RequestError, match="another file than the run began with"):
        train_and_evaluate(config, str(workdir), data_dir=data_dir)
    assert sorted((file.name, file.stat().st_mtime_ns) for file in workdir.rglob("*")) == before
    # What it has trained can be evaluated, which needs nothing of the file.
    assert "test/accuracy" in evaluate(config, str(workdir), data_dir=data_dir)["metrics"]


def heads(config, source, data_dir, **fields):
    """The names of the variables that are not those of the source, and the record."""
    made = make_experiment(dataclasses.replace(config, **fields), data_dir=data_dir)
    theirs, here = saved(source), weights_of(made.model)
    same = {name for name in here if name in theirs and np.array_equal(here[name], theirs[name])}
    return {name for name in here if name not in same and not np.all(here[name] == 0)}, made.started_from


def test_other_classes_have_a_classifier_of_their_own(source, config, data_dir, tmp_path):
    assert heads(config, source, data_dir)[0] == set()
    assert heads(config, source, data_dir, init_head="new")[0] == {"logits/kernel"}
    three = "synthetic:8x8x1,classes=3,examples=256"
    new, record = heads(config, source, data_dir, dataset=three)
    assert (new, record["new_because"]) == ({"logits/kernel"}, "3 classes in place of 10")
    with pytest.raises(RequestError, match=r"init_head is keep; .* 10 classes, the dataset 3"):
        heads(config, source, data_dir, dataset=three, init_head="keep")
    # As many classes, of other names.
    letters = tmp_path / "letters"
    shutil.copytree(source, letters)
    recorded = json.loads((source / "run.json").read_text())
    recorded["dataset"]["class_names"] = {"letter": [*"abcdefghij"]}
    (letters / "run.json").write_text(json.dumps(recorded))
    new, record = heads(config, source, data_dir, init_weights=str(letters))
    assert new == {"logits/kernel"}
    assert record["new_layers"] == ["logits"]
    assert "other classes" in record["new_because"]
    assert heads(config, source, data_dir, init_weights=str(letters), init_head="keep")[0] == set()


def test_what_cannot_begin_so_is_refused_in_one_line(source, config, data_dir, tmp_path):
    def refused(message, **fields):
        with pytest.raises(RequestError, match=message) as error:
            train_and_evaluate(dataclasses.replace(config, **fields), str(tmp_path / "run"), data_dir=data_dir)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run").exists()

    refused("weights of mlp; the model is simple_cnn", model="simple_cnn", model_args={})
    refused("unknown weights 'timm/resnet50.a1_in1'; did you mean timm/resnet50", init_weights="timm/resnet50.a1_in1")
    refused("there is no file or folder nowhere.pth", init_weights="nowhere.pth")
    shutil.copytree(source, tmp_path / "damaged")
    (tmp_path / "damaged" / "run.json").write_text("{}")
    refused("run.json does not say what the run was trained on", init_weights=str(tmp_path / "damaged"))
    refused("hidden|shape|is \\(", model_args={"hidden_sizes": [17], "dropout": 0.2, "batch_norm": True})


def test_the_workers_of_a_job_must_have_the_same_file(source, config):
    class Workers:
        def chief_first(self, what):
            import contextlib

            return contextlib.nullcontext()

        def first_different(self, text):
            assert re.fullmatch("[0-9a-f]{64}", text)
            return 1

    with pytest.raises(RequestError, match="worker 1 has other init_weights than worker 0"):
        open_start(config, None, Workers())


def test_a_run_of_arguments_of_its_own_begins_with_them(source, config, data_dir):
    # Nothing is said of the hidden sizes, so they are those of the weights.
    plain = dataclasses.replace(config, model_args={})
    model = make_experiment(plain, data_dir=data_dir).model
    assert changed_names(weights_of(model), saved(source)) == set()
    assert tuple(model.get_layer("logits").kernel.shape) == (16, 10)


def test_the_number_of_classes_in_the_arguments_of_a_run_is_not_taken_over(source, config, data_dir, tmp_path):
    three = {"dataset": "synthetic:8x8x1,classes=3,examples=256", "model_args": {**CONFIG.model_args, "num_classes": 3}}
    train_and_evaluate(dataclasses.replace(SOURCE, **three), str(tmp_path / "three"), data_dir=data_dir)
    made = make_experiment(dataclasses.replace(config, init_weights=str(tmp_path / "three")), data_dir=data_dir)
    assert made.model.output_shape == (None, 10)
    assert made.started_from["new_layers"] == ["logits"]
    built = zoo.build_model("mlp", weights=str(tmp_path / "three"))
    assert (built.input_shape, built.output_shape) == ((None, 8, 8, 1), (None, 3))
    assert changed_names(weights_of(built), saved(tmp_path / "three")) == set()


def test_weights_are_found_in_the_home_folder(source, config, data_dir, monkeypatch):
    monkeypatch.setenv("HOME", str(source.parent))
    made = make_experiment(dataclasses.replace(config, init_weights=f"~/{source.name}"), data_dir=data_dir)
    assert changed_names(weights_of(made.model), saved(source)) == set()


@pytest.mark.slow
def test_a_net_that_compares_images_keeps_its_last_layer(data_dir, tmp_path):
    pairs = dataclasses.replace(SOURCE, model="siamese", model_args={}, ways=3, shots=1)
    train_and_evaluate(pairs, str(tmp_path / "pairs"), data_dir=data_dir)
    fields = {"init_weights": str(tmp_path / "pairs"), "dataset": "synthetic:8x8x1,classes=4,examples=256"}
    for head in ("auto", "keep"):
        made = make_experiment(dataclasses.replace(pairs, init_head=head, **fields), data_dir=data_dir)
        assert changed_names(weights_of(made.model), saved(tmp_path / "pairs")) == set()
    made = make_experiment(dataclasses.replace(pairs, init_head="new", **fields), data_dir=data_dir)
    assert made.started_from["new_layers"] == ["logits"]
