"""Which tasks there are, how they read to a person, and one that comes from outside."""

import json
import types

import keras
import numpy as np
import pytest

import zoo
from zoo import registry
from zoo.analysis.runs import plots
from zoo.config import ExperimentConfig
from zoo.data.batches import Singles
from zoo.errors import RequestError
from zoo.tasks import known
from zoo.tasks.base import Label
from zoo.tasks.known import find_task, register_task, task_names
from zoo.training.data import open_data
from zoo.training.evaluation import evaluate
from zoo.training.loop import train_and_evaluate


def config(**fields):
    return ExperimentConfig(**{"dataset": "synthetic:9x7x3,classes=4,examples=64", "ways": 0, **fields})


def test_each_file_is_a_task_of_its_name():
    assert task_names() == ["classification", "multi_output", "verification"]
    for name in task_names():
        assert (find_task(name).name, find_task(name).__module__) == (name, f"zoo.tasks.{name}")
    with pytest.raises(RequestError, match="unknown task 'clasification'; did you mean classification"):
        find_task("clasification")
    with pytest.raises(RequestError, match="unknown task 'verify'; did you mean verification"):
        ExperimentConfig(task="verify")


def test_captions_and_readings(data_dir):
    task = open_data(config(), data_dir=data_dir).task
    assert task.caption({"label": 2}) == "2"
    assert task.caption({"label": 2, "own_share": 0.75, "mixed/label": 3}) == "0.75 2 + 3"
    assert task.reading({"predicted": np.int32(3), "confidence": np.float32(0.5)}) == "3 0.50"
    task = open_data(config(model="siamese"), data_dir=data_dir).task
    assert task.caption({"same": 1}) == "same"
    assert task.caption({"anchor": None, "anchor_label": 1, "negative_label": 0}) == "1, negative 0"
    assert task.reading({"score": np.float32(-0.25)}) == "score -0.25"
    task = open_data(config(model="multi_output", labels="label"), data_dir=data_dir).task
    assert task.caption({"label": 1}) == "1"
    assert task.reading({"label/predicted": np.int32(1), "label/confidence": np.float32(1)}) == "label: 1 1.00"


class Brightness:
    """How bright is an image? A number, learned by its squared error: all that a task is, in one class."""

    name = "brightness"
    mixes_images = False
    labels = (Label("brightness", 0),)
    warnings = ()
    # Of the objective, which this one is itself.
    metric_names = ("off",)
    answer_types = types.MappingProxyType({"loss": "float32", "bright": "float32"})
    summary_names = ("loss", "off")

    def __init__(self, config, train, evaluation):
        self._evaluation = evaluation

    def builder_arguments(self, hyperparameters):
        return {}

    def check_ends(self, inputs, outputs):
        if {*outputs} != {"brightness"}:
            raise RequestError(f"the model gives {outputs}; brightness needs brightness")

    def train_batches(self, source, transform, image_shape, inputs):
        return Singles(source, transform, image_shape, [])

    def evaluation_batches(self, transform, image_shape):
        return Singles(self._evaluation, transform, image_shape, [])

    def objective(self, outputs, loss_weights):
        return self

    def caption(self, example):
        return f"{example['image'].mean():.0f}"

    def reading(self, answers):
        return f"{float(answers['bright']):.1f}"

    def call(self, model, batch, training):
        return model(batch["image"], training=training)[:, 0]

    def losses(self, outputs, batch):
        return keras.ops.square(outputs - keras.ops.mean(batch["image"], axis=(1, 2, 3)))

    def metrics(self, outputs, batch):
        return {"off": keras.ops.sqrt(self.losses(outputs, batch))}

    def answers(self, outputs, batch):
        return {"loss": self.losses(outputs, batch), "bright": outputs}

    def summary(self, answers):
        loss = float(answers["loss"].mean(dtype=np.float64))
        return {"loss": loss, "off": float(np.sqrt(answers["loss"]).mean(dtype=np.float64))}

    def confusions(self, answers):
        return {}


@pytest.fixture
def brightness(monkeypatch):
    """The task and a model for it, as another package registers them."""
    zoo.list_models()
    monkeypatch.setattr(known, "_REGISTERED", dict(known._REGISTERED))
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    register_task(Brightness)

    @zoo.register_model(paper="Nobody 2026", input_shape=(3, 3, 1), num_classes=None, parameters=10, task="brightness")
    def brightness_net(input_shape, num_classes):
        parts = [keras.layers.Flatten(name="flat"), keras.layers.Dense(1, dtype="float32", name="brightness")]
        return keras.Sequential([keras.Input(input_shape, name="image"), *parts], name="brightness_net")


def test_a_task_from_outside_is_one_class(brightness, tmp_path, data_dir):
    assert "brightness" in task_names()
    fields = {"model": "brightness_net", "epochs": 30, "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.03}
    own = config(**fields, dataset="synthetic:3x3x1,classes=4,examples=64", normalize="signed")
    result = train_and_evaluate(own, str(tmp_path / "run"), data_dir=data_dir)
    # The mean of the pixels is linear in them, so a dense layer learns it.
    assert result["metrics"]["test/off"] < 0.02
    assert evaluate(own, str(tmp_path / "run"), data_dir=data_dir)["metrics"] == {
        name: value for name, value in result["metrics"].items() if name.startswith("test/")
    }
    answers = np.load(tmp_path / "run" / "evaluation.npz")
    assert sorted(answers) == ["bright", "example", "loss"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["dataset"]["class_names"] == {"brightness": []}
    shown = plots.data_grid(own, open_data(own, data_dir=data_dir), 4, tmp_path / "data.png")
    assert shown == 4
    with pytest.raises(RequestError, match="brightness needs brightness"):
        train_and_evaluate(config(model="mlp", task="brightness"), str(tmp_path / "no"), data_dir=data_dir)


def test_a_name_has_one_task(brightness):
    class Other(Brightness):
        pass

    with pytest.raises(ValueError, match="'brightness' is registered already, by test_tasks"):
        register_task(Other)
    assert register_task(Brightness) is Brightness
