"""A trained model is that of its run: what it answers is what the run's evaluation says, to the bit."""

import json

import numpy as np
import pytest

import zoo
from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.use.answers import answers

MADE = {"dataset": "synthetic:12x12x1,classes=4,examples=640", "ways": 2, "batch_size": 24, "jit": "off"}
RUNS = {
    "with XLA": {"model": "mlp", "dataset": "digits", "model_args": {"hidden_sizes": [16]}},
    "without, resized and averaged": {
        "model": "simple_cnn",
        "dataset": "digits",
        "image_size": 12,
        "ema_decay": 0.9,
        "model_args": {"filters": [4]},
    },
    "several heads": {"model": "multi_output", "labels": "label", "model_args": {"trunk": "mlp"}, **MADE},
    "pairs": {"model": "siamese", "model_args": {"tower": "mlp"}, **MADE},
    "triplets": {"model": "triplet", "model_args": {"tower": "mlp"}, **MADE},
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(fields, id=name, marks=[pytest.mark.slow] * (name in ("several heads", "triplets")))
        for name, fields in RUNS.items()
    ],
)
def test_its_answers_are_those_of_the_run_to_the_bit(fields, tmp_path, data_dir):
    config = ExperimentConfig(epochs=1, **fields)
    zoo.train(config, workdir=str(tmp_path / "run"), data_dir=data_dir)
    trained = zoo.load_trained(tmp_path / "run")
    recorded = np.load(tmp_path / "run" / "evaluation.npz")
    found = answers(trained, data_dir=data_dir)
    assert {name.replace("/", ".") for name in found} == {*recorded}
    for name, values in found.items():
        np.testing.assert_array_equal(values, recorded[name.replace("/", ".")], strict=True)
    assert (trained.config, trained.task) == (config, zoo.model_info(config.model).task)
    known = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {label: list(names) for label, names in trained.class_names.items()} == known["dataset"]["class_names"]
    assert trained.preprocessing.to_json() == known["preprocessing"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    zoo.train(ExperimentConfig(model="mlp", epochs=1, jit="off"), workdir=str(workdir), data_dir=data_dir)
    return workdir


def test_another_split(finished, data_dir):
    found = answers(zoo.load_trained(finished), data_dir=data_dir, eval_split="train[:100]")
    assert len(found["predicted"]) == 100
    metrics = zoo.evaluate(str(finished), eval_split="train[:100]", data_dir=data_dir)["metrics"]
    assert metrics["train[:100]/accuracy"] == (found["predicted"] == found["label"]).mean()


@pytest.mark.slow
def test_of_a_mirrored_run_too(tmp_path, data_dir):
    config = ExperimentConfig(model="mlp", epochs=1, batch_size=64, model_args={"batch_norm": True})
    zoo.train(config, workdir=str(tmp_path / "run"), strategy="mirrored:2", data_dir=data_dir)
    found = answers(zoo.load_trained(tmp_path / "run"), strategy="mirrored:2", data_dir=data_dir)
    recorded = np.load(tmp_path / "run" / "evaluation.npz")
    for name, values in found.items():
        np.testing.assert_array_equal(values, recorded[name], strict=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"dataset": "synthetic:8x8x1,classes=12,examples=320"},
            "was trained for other classes of label than synthetic",
        ),
        (
            {"dataset": "synthetic:9x8x1,classes=10,examples=320"},
            r"takes images \(8, 8, 1\); those of .* are \(9, 8, 1\)",
        ),
        ({"task": "verification", "ways": 0}, "which gives logits of image; verification needs"),
        ({"evalsplit": "train"}, "unknown field 'evalsplit'; did you mean eval_split"),
    ],
    ids=str,
)
def test_what_is_none_of_its_data_is_one_line(finished, data_dir, fields, message):
    with pytest.raises(RequestError, match=message):
        answers(zoo.load_trained(finished), data_dir=data_dir, **fields)
