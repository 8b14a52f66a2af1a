import dataclasses
import errno
import fcntl
import json
import os
import re

import pytest

from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.runs.workdir import Workdir, default_workdir


def test_a_file_is_no_workdir(tmp_path):
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with pytest.raises(ValueError, match=r"cannot be made: .*file is a file; name a folder"):
            Workdir(tmp_path / path).check(ExperimentConfig())


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="cannot be written to; name another folder with --workdir"):
        Workdir(tmp_path / "run").check(ExperimentConfig())


def test_nothing_is_written_before_open(tmp_path):
    folder = Workdir(tmp_path / "run")
    folder.check(ExperimentConfig())
    assert folder.config() is None
    assert folder.result() is None
    assert not (tmp_path / "run").exists()


def test_another_configs_run_is_refused_with_the_fields_that_differ(tmp_path):
    config = ExperimentConfig(model_args={"filters": (8, 16)})
    folder = Workdir(tmp_path)
    with folder.open(config):
        assert folder.config() is None
        folder.begin(config)
    assert folder.config() == config
    folder.check(config)
    other = ExperimentConfig(model_args={"filters": (8, 16)}, seed=1, learning_rate=0.5)
    folder.check(other)  # a run that saved nothing binds nobody
    (folder.checkpoints / "step-00000003").mkdir(parents=True)
    message = r"another learning_rate \(0.001 there, 0.5 here\), seed \(0 there, 1 here\); name another"
    with pytest.raises(ValueError, match=message):
        folder.check(other)


@pytest.mark.parametrize("left", ["checkpoints", "result.json"])
def test_a_run_without_its_config_is_refused(tmp_path, left):
    (tmp_path / left).mkdir() if left == "checkpoints" else (tmp_path / left).write_text("{}")
    with pytest.raises(ValueError, match=r"holds a run without its config\.json; name another folder"):
        Workdir(tmp_path).check(ExperimentConfig())


def test_a_second_process_is_kept_out_until_the_first_is_done(tmp_path):
    first, second = Workdir(tmp_path), Workdir(tmp_path)
    with first.open(ExperimentConfig()):  # noqa: SIM117 - one after the other
        with pytest.raises(ValueError, match="another process is running in workdir"), second.open(ExperimentConfig()):
            pass
    with second.open(ExperimentConfig()):
        pass


def test_what_another_process_did_meanwhile_is_seen_under_the_lock(tmp_path):
    """Checked while the folder was empty, opened when another config's run is in it."""
    folder, other = Workdir(tmp_path), ExperimentConfig(seed=1)
    folder.check(ExperimentConfig())
    with Workdir(tmp_path).open(other):
        folder.begin(other)
        (folder.checkpoints / "step-00000003").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"another seed \(1 there, 0 here\)"), folder.open(ExperimentConfig()):
        pass
    assert folder.config() == other


def test_what_a_killed_process_was_writing_goes(tmp_path):
    folder = Workdir(tmp_path)
    with folder.open(ExperimentConfig()):
        folder.begin(ExperimentConfig())
    (folder.checkpoints / ".7.tmp").mkdir(parents=True)
    (tmp_path / ".model.7.tmp.keras").write_text("half")
    with folder.open(ExperimentConfig()):
        assert sorted(os.listdir(tmp_path)) == [".lock", "checkpoints", "config.json"]
        assert os.listdir(folder.checkpoints) == []


@pytest.mark.parametrize("text", ["{", '{"model": 3}', '{"no_such_field": 1}'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is (damaged|not a config)"):
        Workdir(tmp_path).check(ExperimentConfig())


def test_what_cannot_lock_is_one_line(tmp_path, monkeypatch):
    """A file system without locks; a lock of another kind would outlive a process that dies."""

    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(RequestError, match=r"workdir .* name another folder"),
        Workdir(tmp_path).open(ExperimentConfig()),
    ):
        pass


def test_a_recorded_config_may_name_what_is_not_installed(tmp_path):
    fields = {**dataclasses.asdict(ExperimentConfig()), "model": "of_another_package", "task": "its_task"}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    config = Workdir(tmp_path).config()
    assert (config.model, config.task) == ("of_another_package", "its_task")
    with pytest.raises(RequestError, match="unknown model 'of_another_package'"):
        dataclasses.replace(config, epochs=3)


def test_damaged_preprocessing_is_named(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"epochs": 20}))
    (tmp_path / "run.json").write_text(json.dumps({"preprocessing": {"mean": [1.0]}}))
    with pytest.raises(RequestError, match=r"run\.json is damaged: its preprocessing lacks 'image_size'"):
        Workdir(tmp_path).known()


def test_the_default_workdir_says_what_the_run_is_and_has_a_digest_where_that_is_not_all():
    recipe = ExperimentConfig(l2=0.5)
    file = "configs/recipe.py", recipe
    assert default_workdir(recipe, *file) == "runs/recipe-0"
    assert default_workdir(dataclasses.replace(recipe, seed=7), *file) == "runs/recipe-7"
    others = [
        default_workdir(dataclasses.replace(recipe, l2=0.25), *file),
        default_workdir(dataclasses.replace(recipe, epochs=21), *file),
        default_workdir(recipe, *file, "mirrored:2"),
        default_workdir(recipe, *file, "mirrored:3"),
    ]
    assert all(re.fullmatch(r"runs/recipe-[0-9a-f]{6}-0", other) for other in others)
    assert len({*others}) == len(others)
    photos = default_workdir(ExperimentConfig(dataset="folder:/data/my photos/"))
    assert re.fullmatch(r"runs/simple_cnn_my_photos-[0-9a-f]{6}-0", photos)
    assert photos == default_workdir(ExperimentConfig(dataset="folder:/data/my photos"))
    assert photos != default_workdir(ExperimentConfig(dataset="folder:/other/my photos/"))
    long = default_workdir(ExperimentConfig(dataset="synthetic:64x64x3,classes=10,examples=" + "1" * 200, seed=3))
    assert len(long) < 80
    assert long.endswith("-3")


def test_the_digest_is_the_same_whoever_computes_it_and_however_the_arguments_are_written():
    # Written down: with another one nobody would find the runs again that were made before.
    one = ExperimentConfig(model="mlp", model_args={"dropout": 0, "hidden_sizes": [8]}, seed=2)
    other = ExperimentConfig(model="mlp", model_args={"hidden_sizes": [8], "dropout": 0.0}, seed=2)
    assert default_workdir(one) == default_workdir(other) == "runs/mlp_digits-47ab10-2"


@pytest.mark.parametrize("workdir", ["photos", "photos/runs/a"])
def test_a_run_is_not_written_among_the_images_that_it_reads(tmp_path, workdir):
    config = ExperimentConfig(dataset=f"folder:{tmp_path / 'photos'}")
    with pytest.raises(RequestError, match="among the images; name another with --workdir"):
        Workdir(tmp_path / workdir).check(config)
    Workdir(tmp_path / "photos-run").check(config)
    (tmp_path / "photos" / "train").mkdir(parents=True)
    Workdir(tmp_path / "photos" / "runs").check(config)
