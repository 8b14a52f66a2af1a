"""Runs side by side."""

import dataclasses

import made
import pytest

from zoo.analysis.runs import compare
from zoo.runs import records


@pytest.fixture
def three(tmp_path):
    """Two equal runs, and one with another config, another loss and other variables."""
    alike = {"model": "mlp", "model_args": {"dropout": 0.5}}
    other = {"model": "mlp", "model_args": {"dropout": 0.25, "hidden_sizes": [8]}, "seed": 1}
    made_runs = []
    for name, fields, loss, digest in (("a", alike, 0.5, "ab"), ("<b>", other, 0.25, "cd"), ("c", alike, 0.5, "ab")):
        config = made.config(**fields)
        rows = made.curve(values=(1.0, loss))
        path = made.workdir(tmp_path / name, config, None, {"test/loss": loss}, rows=rows, state_sha256=32 * digest)
        made_runs.append(records.read(path))
    return made_runs


def test_what_differs_and_what_came_of_it(three):
    found = {title: {name: cells for name, *cells in rows} for title, rows in compare.sections(three)}
    assert found["config"] == {
        "model_args.dropout": ["0.5", "0.25", "0.5"],
        "model_args.hidden_sizes": ["-", "8", "-"],
        "seed": ["0", "1", "0"],
    }
    assert found["data, versions and machine"] == {}
    assert found["result"]["test/loss"] == ["0.5000", "0.2500", "0.5000"]
    assert found["result"]["wall_seconds"] == ["12.5 s"] * 3
    assert found["result"]["images_per_second"] == ["1,234"] * 3
    assert found["state"]["state_sha256"] == ["abababababab", "cdcdcdcdcdcd", "abababababab"]
    assert found["state"]["equal to"] == ["3", "none", "1"]


def test_other_data_are_told(three, tmp_path):
    config = made.config(model="mlp", model_args={"dropout": 0.5})
    run = records.read(made.workdir(tmp_path / "d", config, None, {"test/accuracy": 1.0}, eval_sha256=64 * "e"))
    found = dict(compare.sections([three[0], run]))
    digest = three[0].run["dataset"]["eval_sha256"][:12]
    assert found["data, versions and machine"] == [("eval_sha256", digest, "eeeeeeeeeeee")]
    assert ("test/accuracy", "-", "1.0000") in found["result"]


def test_other_devices_and_preprocessing_are_told(three):
    one, other = ({"strategy": name, "replicas": len(name), "xla": name == "a", "seed": 0} for name in ("a", "bb"))
    one["preprocessing"], other["preprocessing"] = {"mean": [0.5], "image_size": 0}, {"mean": [1.5], "image_size": 0}
    both = [dataclasses.replace(three[0], run=run) for run in (one, other)]
    assert dict(compare.sections(both))["data, versions and machine"] == [
        ("preprocessing.mean", "0.5", "1.5"),
        ("strategy", "a", "bb"),
        ("replicas", "1", "2"),
        ("xla", "True", "False"),
    ]


HARDWARE = {"processor": "P", "cores": 2, "vendor": "V", "family": 6, "model": 1, "instructions": "AVX2"}
HARDWARE |= {"onednn": True, "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"}, "gpus": []}


def test_other_machines_are_told_and_whose_bits_may_be_compared(three):
    hardware = [
        HARDWARE,
        {**HARDWARE, "vendor": "W", "model": 2, "onednn": False, "environment": {"XLA_FLAGS": "--x"}},
        {**HARDWARE, "processor": "Q", "environment": {"TF_ENABLE_ONEDNN_OPTS": "true"}},
        {"processor": "P", "cores": 2},
    ]
    machines = [
        dataclasses.replace(three[0], run={"versions": {"zoo": "1", "zoo_commit": str(number)}, "hardware": own})
        for number, own in enumerate(hardware)
    ]
    found = {title: {name: cells for name, *cells in rows} for title, rows in compare.sections(machines)}
    assert found["data, versions and machine"] == {
        "zoo_commit": ["0", "1", "2", "3"],
        "processor": ["P", "P", "Q", "P"],
        "processor.vendor": ["V", "W", "V", "-"],
        "processor.family": ["6", "6", "6", "-"],
        "processor.model": ["1", "2", "1", "-"],
        "instructions": ["AVX2", "AVX2", "AVX2", "-"],
        "onednn": ["True", "False", "True", "-"],
        "gpus": ["none", "none", "none", "-"],
        "environment.XLA_FLAGS": ["-", "--x", "-", "-"],
    }
    assert found["state"]["same machine and versions as"] == ["3", "none", "1", "unknown"]


def test_the_page_holds_the_same_and_the_curves(three, tmp_path):
    path = tmp_path / "page" / "compare.html"
    compare.write(three, path)
    found = made.Page(path)
    found.check_alone()
    for title, rows in compare.sections(three):
        if rows:
            assert found.tables[title] == [["", "1: a", "2: <b>", "3: c"], *map(list, rows)]
    assert "The same in all." in found.text["p"]
    assert "2: <b>, test 0.5, 3: c, train 0.5" in found.text["figcaption"]
    assert "Never changed: 1: a, train/learning_rate 0.1; 2: <b>, train/learning_rate 0.1; 3: c" in found.text["p"]
    assert {file.name for file in path.parent.iterdir()} == {"compare.html", "compare_curve_loss.png"}


def test_one_run_is_none_to_compare(three):
    with pytest.raises(ValueError, match="compare takes at least two runs"):
        compare.sections(three[:1])


def test_a_run_that_is_not_finished_is_compared_as_far_as_it_went(three, tmp_path):
    run = made.unfinished(tmp_path / "d", made.config(model="mlp"), made.curve(values=(1.0, 0.98123456)))
    both = [three[0], records.read(run)]
    assert compare.unfinished(both) == ["2: d is not finished: step 18 of 400"]
    found = {title: {name: cells for name, *cells in rows} for title, rows in compare.sections(both)}
    assert found["result"]["train/loss"] == ["-", "0.9812"]
    assert found["result"]["steps"] == ["18", "18"]
    assert found["result"]["wall_seconds"] == ["12.5 s", "-"]
    assert found["state"]["state_sha256"] == ["abababababab", "-"]
    assert found["state"]["equal to"] == ["none", "unknown"]
    compare.write(both, tmp_path / "both.html")
    page = made.Page(tmp_path / "both.html")
    assert page.text["p"].startswith("2: d is not finished: step 18 of 400.")
    assert "2: d, train 0.9812" in page.text["figcaption"]
