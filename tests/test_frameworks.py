"""Keras' own settings change no net, and neither TensorFlow nor a wrong setting says more than a line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo import frameworks
from zoo.layers import BatchNormalization, GroupedConv2D

ROOT = Path(__file__).parents[1]
# Of the environment of this process, which the tests share, none of these shall reach those that are started here.
SETTINGS = ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL")


def test_settings_are_as_they_were_behind_it(set_keras_otherwise):
    set_keras_otherwise()
    zoo.build_model("mlp")
    with pytest.raises(zoo.RequestError, match="dropout"):
        zoo.build_model("mlp", dropout=3)
    assert keras.config.image_data_format() == "channels_first"
    assert keras.config.floatx() == "float16"
    assert keras.config.dtype_policy().name == "float16"
    assert keras.config.epsilon() == 1e-2


def test_a_dtype_policy_is_a_users_wish(set_keras_otherwise):
    set_keras_otherwise()
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = zoo.build_model("mlp")
    assert model.get_layer("hidden1").dtype_policy.name == "mixed_bfloat16"
    assert model.get_layer("hidden1").kernel.dtype == "float32"
    assert model.outputs[0].dtype == "float32"


def run(code, cwd=ROOT, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def keras_home(tmp_path):
    settings = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-2, "backend": "tensorflow"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    return str(tmp_path)


@pytest.mark.slow
def test_a_run_is_the_same_under_another_keras_json(keras_home, tmp_path):
    code = (
        "import sys, zoo, keras\n"
        "config = zoo.ExperimentConfig(model='simple_cnn', epochs=1, train_split='train[:256]', cpu_threads=1)\n"
        "result = zoo.train(config, workdir=sys.argv[1] if sys.argv[1:] else WORKDIR)\n"
        "print(keras.config.image_data_format(), result['state_sha256'])\n"
    )
    digests = {}
    for image_format, settings in (("channels_last", {}), ("channels_first", {"KERAS_HOME": keras_home})):
        done = run(code.replace("WORKDIR", repr(str(tmp_path / image_format))), **settings)
        assert done.returncode == 0, done.stderr
        found, digests[image_format] = done.stdout.split()
        assert found == image_format
    assert digests["channels_first"] == digests["channels_last"]


BUILT = "import zoo; print(zoo.build_model('resnet20').count_params())"


@pytest.mark.slow
def test_building_says_nothing(keras_home):
    """What TensorFlow writes of oneDNN, CUDA and log levels comes before any log level applies."""
    for settings in ({}, {"KERAS_HOME": keras_home}):
        done = run(BUILT, **settings)
        assert (done.stdout, done.stderr) == ("271098\n", "")


@pytest.mark.slow
def test_a_tensorflow_of_the_users_is_left_alone():
    code = (
        "import os, tensorflow, keras; before = dict(os.environ)\n"
        "import zoo; zoo.build_model('mlp'); assert dict(os.environ) == before"
    )
    done = run(code, TF_ENABLE_ONEDNN_OPTS="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("settings", [{"KERAS_BACKEND": "nonsense"}, {"floatx": "float8"}], ids=str)
def test_wrong_settings_of_keras_are_refused_in_one_line(settings, tmp_path):
    if "floatx" in settings:
        (tmp_path / "keras.json").write_text(json.dumps(settings))
        settings = {"KERAS_HOME": str(tmp_path)}
    # The registry is known without Keras, and so is what is wrong with a request.
    code = (
        "import sys; from zoo.cli import console, commands\n"
        "assert console.run(commands.run_zoo, ['list', 'resnet20']) == 0\n"
        "sys.exit(console.run(commands.run_zoo, ['inspect', 'resnet20']))"
    )
    done = run(code, **settings)
    assert done.returncode == 2
    assert "resnet20" in done.stdout
    assert done.stderr.startswith("error: Keras cannot be imported: ")
    assert done.stderr.count("\n") == 1
    assert "KERAS_BACKEND" in done.stderr


def test_what_fails_for_another_reason_is_shown_with_what_was_held_back(capfd):
    def fail():
        os.write(2, b"the driver is too old\n")
        raise KeyError

    with pytest.raises(KeyError), frameworks._stderr_held_back():
        fail()
    assert capfd.readouterr().err == "the driver is too old\n"
    with frameworks._stderr_held_back():
        os.write(2, b"oneDNN is on\n")
    assert capfd.readouterr().err == ""


PLAIN_KERAS = """
import sys
import keras, numpy

examples = numpy.load("examples.npy")

def outputs(name, **arguments):
    model = keras.saving.load_model(f"{name}.keras", **arguments)
    assert "zoo" not in sys.modules or not arguments
    return model(examples)

class GroupedConv2D(keras.layers.Conv2D):
    pass

own = {"zoo>BatchNormalization": keras.layers.BatchNormalization, "zoo>GroupedConv2D": GroupedConv2D}
try:
    outputs("resnet20")
except TypeError as error:
    print(str(error)[:1000])
for name in ("resnet20", "grouped"):
    found = outputs(name, custom_objects=own)
    numpy.save(f"{name}-plain.npy", found)
import zoo.layers
numpy.save("resnet20-zoo.npy", outputs("resnet20"))
"""


@pytest.mark.slow
def test_plain_keras_says_where_the_layers_of_a_saved_model_are(tmp_path):
    """It imports nothing that a file names. With the layers imported, or with its own in their place, it reads it."""
    examples = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "examples.npy", examples)
    image = keras.Input((32, 32, 3), name="image")
    convolved = keras.layers.Conv2D(8, 3, strides=4)(image)
    grouped = keras.Model(image, GroupedConv2D(4, 3, groups=2)(BatchNormalization()(convolved)))
    models = {"resnet20": zoo.build_model("resnet20", num_classes=5), "grouped": grouped}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    expected = {name: np.array(model(examples)) for name, model in models.items()}
    done = run(PLAIN_KERAS, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert "Could not locate class 'BatchNormalization'" in done.stdout
    assert "'module': 'zoo.layers'" in done.stdout
    np.testing.assert_array_equal(np.load(tmp_path / "resnet20-zoo.npy"), expected["resnet20"])
    for name, outputs in expected.items():
        # By other operations, whose rounding is far below a thousandth of what the outputs differ by.
        found = np.load(tmp_path / f"{name}-plain.npy")
        np.testing.assert_allclose(found, outputs, rtol=1e-3, atol=1e-3 * outputs.std())
