"""A trained model comes with all that its run knows, and what a run lacks is said."""

import shutil

import pytest

import zoo
from zoo.config import ExperimentConfig
from zoo.errors import RequestError


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    zoo.train(ExperimentConfig(model="mlp", epochs=1, jit="off"), workdir=str(workdir), data_dir=data_dir)
    return workdir


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("result.json", "is not finished; start its command again"),
        ("config.json", "there is no run in"),
        ("run.json", "does not say what images go through"),
        ("model.keras", "there is no .*model.keras"),
    ],
)
def test_what_a_folder_lacks_is_said(finished, tmp_path, gone, message):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / gone).unlink()
    with pytest.raises(RequestError, match=message):
        zoo.load_trained(tmp_path / "run")


def test_all_that_it_needs_comes_with_it(finished):
    trained = zoo.load_trained(finished)
    assert trained.class_names == {"label": tuple("0123456789")}
    assert (trained.task, trained.config.model) == ("classification", "mlp")
    assert trained.model.output_shape == (None, 10)
    assert len(trained.preprocessing.mean) == 1


def test_a_model_that_was_cut_off_is_one_line(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    model = tmp_path / "run" / "model.keras"
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(RequestError, match=r"model\.keras cannot be read as a Keras model"):
        zoo.load_trained(tmp_path / "run")
