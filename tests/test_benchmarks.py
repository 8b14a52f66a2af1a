"""benchmarks/: what becomes of seconds, of records and of sides that fail; and a turn of zoo and Keras for real."""

import copy
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import frozen, gpu, side_zoo, table, turns
from benchmarks.works import NO_SUCH_SIDE, ON_GPU, SIDES, WORKS, Work, flops
from zoo.analysis.docs import tables
from zoo.cli import console

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "benchmarks.json"
TINY = Work("tiny", "train", "mlp", {"hidden_sizes": [4]}, (8, 8, 1), 8, 3, "adam", 1, ("zoo", "keras"))


def side(median: float, slower: float | None, **other) -> dict:
    ratio = slower and {"median": slower, "least": slower / 2, "most": slower * 2}
    times = {"median": median, "least": median, "most": median}
    return dict.fromkeys(turns.SIDE_FIELDS) | times | {"title": "a side", "times_slower": ratio} | other


def made_up() -> dict:
    """A record of two works, of which one has fewer sides."""
    absent = {name: dict.fromkeys(turns.SIDE_FIELDS) | {"skipped": "no such package"} for name in SIDES}
    common = {"rounds": 5, "date": "2000-01-01", "versions": {"keras": "3"}, "steps": 1, "parameters": 7}
    net = {"images_per_second": 1234.0, "peak_gib": 1.5, "fraction_of_matmul": 0.7}
    train = common | {"title": WORKS["resnet50"].title, "kind": "train", "batch_size": 16, "matmul_gflops": 300.0}
    start = common | {"title": WORKS["start_run"].title, "kind": "start", "batch_size": 32, "matmul_gflops": None}
    train["sides"] = absent | {"zoo": side(10.0, None, **net), "keras": side(12.0, 1.2), "torch": side(11.0, 1.1)}
    start["sides"] = absent | {"zoo": side(8.0, None), "keras": side(24.0, 3.0)}
    return {
        "machine": {"processor": "Abacus", "cores": 2, "matmul_gflops": 300.0},
        "versions": {"keras": "3"},
        "works": {"resnet50": train, "start_run": start},
    }


def row(text: str, beginning: str, section: str) -> list[str]:
    part = text.split(f"## {section}\n")[1].split("\n## ")[0]
    (line,) = [line for line in part.splitlines() if line.startswith(f"| {beginning} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_tables_say_what_the_record_says():
    text = table.document(made_up())
    work = WORKS["resnet50"].title
    cells = row(text, work, "Training")
    assert cells[:3] == [work, "1,234", "1.20 (0.600 to 2.40)"]
    assert cells[3:7] == ["-", "1.10 (0.550 to 2.20)", "-", "-"]
    assert cells[7:] == ["0.700", "1.50, -, -"]
    assert row(text, WORKS["start_run"].title, "From start to end")[1:] == ["8.00", "24.0", "3.00 (1.50 to 6.00)"]
    assert "2 cores of Abacus, 300 GFLOP/s" in text
    assert "- JAX: no such package" in text


def test_the_part_on_gpus_is_made_of_its_own_record():
    assert "Not run on a GPU" in table.document(made_up())
    on_card = made_up()
    on_card["machine"]["card"] = "Slide Rule"
    work = on_card["works"]["resnet50"] | {"title": "ResNet-50 on it", "matmul_gflops": 5e5}
    on_card["works"], sides = {"resnet50": work}, work["sides"]
    sides["zoo"] |= {"waiting": 0.012, "gpu_peak_gib": 20.0}
    text = table.document(made_up(), on_card)
    assert "Not run on a GPU" not in text
    assert "Card: Slide Rule, with 2 cores of Abacus" in text
    cells = row(text.partition("\n### ")[0], "ResNet-50 on it", "On a GPU")
    assert cells[1:] == ["1,234", "1.10 (0.550 to 2.20)", "-", "0.700", "1.2 %", "20.0, -, -", "500"]


def test_a_gpu_that_is_not_there_is_one_line(tmp_path, capsys):
    assert console.run(gpu.main, ["resnet20", f"--output={tmp_path}"]) == 2
    assert "TensorFlow sees no GPU here; --rehearse plays the same" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
    assert console.run(gpu.main, ["resnet21"]) == 2
    assert "did you mean resnet20" in capsys.readouterr().err


def test_a_rehearsal_is_small_and_on_the_cpu(tmp_path, monkeypatch, capsys):
    played = []
    monkeypatch.setattr(benchmarks, "play", lambda work, *_: played.append(work) or made_up()["works"]["resnet50"])
    assert console.run(gpu.main, ["--rehearse", "--jit=off", f"--output={tmp_path}"]) == 0
    assert len(played) == len(ON_GPU)
    assert {(work.device, work.jit) for work in played} == {("CPU", "off")}
    assert max(max(work.image_shape) for work in played) <= 139
    assert {work.precision for work in played} == {"float32", "bfloat16"}
    assert "a rehearsal on the CPU: nothing of this is recorded" in capsys.readouterr().out
    assert not [*tmp_path.iterdir()]


def test_targets_are_held_against_what_was_measured():
    def target_rows(works):
        return {tuple(row.split(" | ")[:2]): row.split(" | ")[2:] for row in table.target_table(works)[2:]}

    works = made_up()["works"]
    rows, resnet = target_rows(works), f"| {WORKS['resnet50'].title}"
    assert rows[resnet, "times faster than Keras"] == [">= 1.3", "1.20", "**no** |"]
    assert rows[resnet, "times faster than PyTorch"] == [">= 1", "1.10", "yes |"]
    assert rows[resnet, "of matmul"] == [">= 0.65", "0.700", "yes |"]
    assert rows[f"| {WORKS['start_run'].title}", "seconds"] == ["< 9", "8.00", "yes |"]
    # What was not measured, or whose rival has crashed, stays in the table.
    assert rows[f"| {WORKS['mlp'].title}", "times faster than Keras"] == [">= 1.6", "-", "not measured |"]
    works["resnet50"]["sides"]["torch"] = dict.fromkeys(turns.SIDE_FIELDS) | {"skipped": "crashed"}
    assert target_rows(works)[resnet, "times faster than PyTorch"] == [">= 1", "-", "not measured |"]
    assert target_rows({}).keys() == rows.keys()


def test_a_side_that_a_work_does_not_have_is_no_omission():
    recorded = made_up()
    recorded["works"]["resnet50"]["sides"]["jax"]["skipped"] = NO_SUCH_SIDE
    assert NO_SUCH_SIDE == tables.NO_SUCH_SIDE
    assert NO_SUCH_SIDE not in table.document(recorded)


def test_the_sides_are_those_that_people_read_of():
    assert list(SIDES) == list(tables.SIDES)


def test_the_plot_has_a_row_per_work_and_is_the_same_again():
    picture = table.plot(made_up())
    assert picture == table.plot(made_up())
    words = {element.text for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")}
    assert {"Training", WORKS["resnet50"].title, "Keras", "PyTorch"} <= words
    assert "JAX" not in words


def test_a_work_is_merged_into_the_record():
    recorded = made_up()
    before = copy.deepcopy(recorded)
    new = recorded["works"]["resnet50"] | {"rounds": 1, "date": "2001-01-01", "versions": {"keras": "4", "torch": "9"}}
    new["matmul_gflops"] = 100.0
    after = benchmarks.merged(recorded, "mlp", new, WORKS)
    assert list(after["works"]) == ["mlp", "resnet50", "start_run"]
    assert after["works"]["start_run"] == before["works"]["start_run"]
    assert [work["rounds"] for work in after["works"].values()] == [1, 5, 5]
    assert after["versions"] == {"keras": "3 and 4", "torch": "9"}
    assert after["machine"]["matmul_gflops"] == 200.0
    assert recorded == before


def test_seconds_become_a_record():
    def player(name, seconds, threads=0):
        made = object.__new__(turns.Player)
        ready = {"title": name, "versions": {name: "1"}, "parameters": 5, "forward_macs": 1000}
        vars(made).update(
            side=name, threads=threads, seconds=seconds, peak_gib=1.0, ready=ready, measured={"waiting": 0.25}
        )
        return made

    work = dataclasses.replace(TINY, sides=("zoo", "keras", "torch"))
    players = [
        player("zoo", [9.0, 0.3, 0.6, 0.3], 1),
        player("torch", [9.0, 3.0, 3.0, 3.0]),
        player("torch", [9.0, 1.2, 0.6, 0.6], 1),
    ]
    made = turns.record(work, 3, players, dict.fromkeys(SIDES, "gone"), [9e9, 1e6, 1e6, 1e6][1:])
    torch = made["sides"]["torch"]
    assert made["sides"]["zoo"]["median"] == 100.0  # ms per step
    assert torch["title"] == "torch, 1 thread"
    assert torch["times_slower"] == {"median": 2.0, "least": 1.0, "most": 4.0}
    # 3 passes, 2 operations, 1000 MACs, 8 examples, 3 steps in 0.6 s.
    assert torch["fraction_of_matmul"] == pytest.approx(6 * 1000 * 8 * 3 / 0.6 / 1e6)
    assert torch["images_per_second"] == 40.0
    assert torch["waiting"] == 0.25
    assert made["sides"]["keras"]["skipped"] == "gone"
    players[1].ready["parameters"] = players[2].ready["parameters"] = 6
    with pytest.raises(turns.Dropped, match="torch has another net: it has 6 parameters, that of the zoo 5"):
        turns.record(work, 3, players, {}, [1e6] * 3)


def test_the_share_of_the_decoder_is_a_median_of_the_rounds_that_count():
    turn, fraction = side_zoo.beside_decoder(iter([9.0, 2.0, 4.0, 8.0]).__next__, lambda: 0.5, 4)
    assert [(turn(), fraction())[1] for _ in range(4)][1:] == [1.0, 0.75, 0.5]


def test_operations_of_a_step():
    assert flops(TINY, 100) == 3 * 2 * 100 * 8
    assert flops(dataclasses.replace(TINY, kind="inference"), 100) == 2 * 100 * 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet21"], "unknown work 'resnet21'; did you mean resnet20"),
        (["mlp", "--rounds=0"], "rounds is 0; it must be at least 1"),
        (["mlp", "--steps=-1"], "steps is -1; it must be at least 1"),
        (["mlp", "--peer_python=/no/python"], "peer_python is '/no/python'; there is no such program"),
        (["--cats"], "unrecognized arguments: --cats; see python -m benchmarks --help"),
        (["--tables"], "there is nothing in {}/results/benchmarks.json; run python -m benchmarks without --tables"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, message, tmp_path, capsys):
    assert console.run(benchmarks.main, [*arguments, f"--output={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(tmp_path)}")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def record_in(folder: Path, recorded: dict) -> Path:
    file = folder / "results" / "benchmarks.json"
    file.parent.mkdir()
    file.write_text(json.dumps(recorded))
    return file


def test_tables_are_made_of_the_record_alone(tmp_path, monkeypatch):
    record_in(tmp_path, made_up())
    monkeypatch.setattr(benchmarks, "play", None)
    benchmarks.main(["--tables", f"--output={tmp_path}"])
    assert (tmp_path / "docs" / "benchmarks.md").read_text() == table.document(made_up())
    assert (tmp_path / "docs" / "benchmarks.svg").read_bytes() == table.plot(made_up())


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing has been recorded yet")
def test_the_tables_of_the_repository_are_those_of_its_record():
    recorded, on_card = json.loads(RESULTS.read_text()), RESULTS.with_name("gpu.json")
    on_card = json.loads(on_card.read_text()) if on_card.exists() else None
    assert (ROOT / "docs" / "benchmarks.md").read_text() == table.document(recorded, on_card)
    assert (ROOT / "docs" / "benchmarks.svg").read_bytes() == table.plot(recorded)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"works": 1}'])
def test_a_record_that_is_none_is_refused(content, tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "benchmarks.json").write_bytes(content)
    assert console.run(benchmarks.main, ["mlp", f"--output={tmp_path}"]) == 2
    assert "is not what python -m benchmarks writes" in capsys.readouterr().err


def test_figures_of_two_machines_do_not_mix(tmp_path, capsys):
    file = record_in(tmp_path, made_up())
    assert console.run(benchmarks.main, ["mlp", f"--output={tmp_path}"]) == 2
    assert "is of another machine, 2 cores of Abacus; move it away" in capsys.readouterr().err
    assert json.loads(file.read_text()) == made_up()


def test_what_is_finished_is_kept(tmp_path, monkeypatch, capsys):
    """The second work fails, and the third is stopped by Ctrl-C."""
    played = iter([made_up()["works"]["resnet50"], turns.Dropped("zoo crashed"), KeyboardInterrupt()])

    def play(work, rounds, peer_python, say):
        result = next(played)
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(benchmarks, "play", play)
    assert console.run(benchmarks.main, ["mlp", "cnn", "resnet20", f"--output={tmp_path}"]) == 130
    captured = capsys.readouterr()
    assert captured.err == "stopped\n"
    assert "cnn (2 of 3), 0 s: not recorded: zoo crashed" in captured.out
    assert "resnet20 (3 of 3), 0 s: stopped and not recorded; what was finished is in" in captured.out
    assert list(json.loads((tmp_path / "results" / "benchmarks.json").read_text())["works"]) == ["mlp"]
    assert WORKS["resnet50"].title in (tmp_path / "docs" / "benchmarks.md").read_text()


def test_a_quick_look_leaves_the_record_alone(tmp_path, monkeypatch, capsys):
    file = record_in(tmp_path, made_up())
    monkeypatch.setattr(benchmarks, "play", lambda *arguments: made_up()["works"]["resnet50"])
    benchmarks.main(["mlp", "--steps=1", f"--output={tmp_path}"])
    assert "a side: 10.0 ms a step" in capsys.readouterr().out
    assert json.loads(file.read_text()) == made_up()
    assert not (tmp_path / "docs").exists()


def test_peak_memory_is_the_process_s_own():
    """Linux hands the largest size of a process on to what it becomes by exec."""
    code = "from benchmarks.serve import peak_gib; print(peak_gib('self'))"
    fat = "import os, sys; held = b'x' * 2**29; os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    peak = subprocess.run(
        [sys.executable, "-c", fat, code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert 0.005 < float(peak) < 0.4


PYTHON = sys.executable
PLAYER = """#!{python}
import json, os, sys
if {behaviour!r} == "crashes at once":
    sys.exit("Fatal: no luck")
print(json.dumps(dict(title="fake", versions=dict(), parameters=None, forward_macs=None)), flush=True)
for line in sys.stdin:
    if {behaviour!r} == "is killed":
        os.kill(os.getpid(), 9)
    print(json.dumps(dict(seconds=2.0, peak_gib=0.5)), flush=True)
"""


@pytest.fixture
def python_that(tmp_path):
    """Makes an interpreter that behaves somehow whatever it is told to run."""

    def make(behaviour: str) -> str:
        file = tmp_path / behaviour.replace(" ", "_")
        file.write_text(PLAYER.format(python=PYTHON, behaviour=behaviour))
        file.chmod(0o755)
        return str(file)

    return make


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("crashes at once", "the process ended with status 1: Fatal: no luck"),
        ("is killed", "the process was stopped by signal 9"),
    ],
)
def test_a_peer_that_fails_is_skipped(behaviour, reason, python_that, monkeypatch):
    # The zoo is faked too: it would take seconds to start.
    monkeypatch.setattr(sys, "executable", python_that("plays"))
    said = []
    work = dataclasses.replace(TINY, kind="start", sides=("zoo", "torch"))
    made = turns.play(work, 2, python_that(behaviour), said.append)
    assert made["sides"]["zoo"]["median"] == 2.0
    assert made["sides"]["torch"]["skipped"] == reason
    assert f"torch skipped: {reason}" in said
    assert said[-1] == "round 2 of 2"


def test_nothing_is_recorded_without_the_zoo(python_that, monkeypatch):
    monkeypatch.setattr(sys, "executable", python_that("is killed"))
    with pytest.raises(turns.Dropped, match="the process was stopped by signal 9"):
        turns.play(dataclasses.replace(TINY, kind="start"), 1, "", print)


@pytest.mark.slow
def test_zoo_and_keras_train_one_net_in_turns(tmp_path, capsys):
    made = turns.play(TINY, 1, sys.executable, print)
    zoo, plain = made["sides"]["zoo"], made["sides"]["keras"]
    assert made["forward_macs"] == 64 * 4 + 4 * 10
    assert made["parameters"] == 65 * 4 + 5 * 10
    assert zoo["title"] == "zoo, 1 thread"
    assert plain["title"] == "Keras `fit`"
    assert plain["times_slower"]["median"] == pytest.approx(plain["median"] / zoo["median"], rel=1e-3)
    assert zoo["images_per_second"] == pytest.approx(8 / (zoo["median"] / 1000), rel=1e-3)
    assert 0 < zoo["fraction_of_matmul"] < 1
    assert 0.05 < zoo["peak_gib"] < 20


@pytest.mark.slow
def test_a_frozen_step_is_held_against_a_full_one(capsys):
    frozen.main(["--model=simple_cnn", "--image_size=8", "--batch_size=8", "--rounds=3"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("simple_cnn, 8 images of 8 x 8, sgd: a step with a frozen trunk takes ")
    median, low, high = map(float, re.findall(r"\d+\.\d+", line))
    assert 0 < low <= median <= high
