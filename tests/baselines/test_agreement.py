"""Config files, records and README say the same, and what disagrees is named."""

import subprocess
import sys

import pytest
from clones import BAND, NOT_RUN, ROOT, TIME

from zoo.baselines.agreement import disagreements, measured_lines, stated
from zoo.baselines.recipes import find, read_recipe
from zoo.baselines.records import read_records


def test_all_that_disagrees_is_named(recorded):
    def said() -> list[str]:
        status, out, err = recorded("--check")
        assert (status, err[:15]) == (1, f"error: {len(out.splitlines())} disagr")
        return out.splitlines()

    assert recorded("--check")[:2] == (0, "1 recipes: configs, records and README agree\n")
    recorded.readme("0.9201 ± 0.0200")
    row = "configs/tiny.py states test/accuracy 0.9200 +- 0.0200, README.md's row has other figures"
    assert said() == [row]
    recorded.readme("0.9200 ± 0.0200")
    recorded.write(BAND.replace("0.9200", "0.9300"))
    states = "configs/tiny.py states test/accuracy 0.9300 +- 0.0200 (3), results/tiny gives 0.9200 +- 0.0200 (3)"
    assert said() == [states, row.replace("0.9200", "0.9300")]
    recorded.write(BAND.replace("7 s", "3 s"))
    assert said() == [
        f"configs/tiny.py states the time {TIME[11:-1].replace('7 s', '3 s')}, results/tiny gives {TIME[11:-1]}",
        "configs/tiny.py states the time 3 s, README.md's row has another one",
    ]
    recorded.write(BAND.replace("0 to 2", "0 to 3"))
    assert said() == [states.replace("0.9300 +- 0.0200 (3)", "0.9200 +- 0.0200 (4)")]
    recorded.write(NOT_RUN)
    assert said() == [
        "configs/tiny.py states test/accuracy not yet run here, results/tiny gives 0.9200 +- 0.0200 (3)",
        f"configs/tiny.py states the time not yet run here, results/tiny gives {TIME[11:-1]}",
        "README.md states a band of configs/tiny.py, which is not yet run here",
        "README.md's row of configs/tiny.py lacks the published 0.921",
    ]
    recorded.write(BAND, epochs=2)
    assert said() == [f"results/tiny/{seed}.json was made with epochs 1, configs/tiny.py has 2" for seed in range(3)]
    recorded.write(BAND)
    (recorded.root / "README.md").write_text("nothing\n")
    assert said() == ["README.md has no row of configs/tiny.py"]


def test_records_that_do_not_belong_are_named(recorded):
    good = recorded.record(1)
    recorded.change_record(1, seed=7)
    assert "results/tiny/1.json is no record of this recipe and seed" in recorded("--check")[1]
    recorded.change_record(1, **good)
    recorded.change_record(1, fields={"epochs": 1, "colour": "red"})
    assert "results/tiny/1.json holds no config of this version" in recorded("--check")[1]
    (recorded.root / "results" / "tiny" / "1.json").unlink()
    out = recorded("--check")[1]
    assert "results/tiny has seeds 0, 2; they must be 0 to N" in out
    assert "results/tiny gives 0.9200 +- 0.0283 (2)" in out
    # Folders of something else are none of a recipe's.
    report = recorded.root / "results" / "report"
    report.mkdir()
    (report / "index.html").write_text("")
    (recorded.root / "results" / "tiny").rename(recorded.root / "results" / "gone")
    assert recorded("--check")[1].splitlines() == [
        "configs/tiny.py states a band, and results/tiny has no records of it",
        "results/gone has no configs/gone.py",
    ]


@pytest.mark.parametrize("name", find())
def test_the_band_is_written_as_it_stands(name):
    """The docstrings hold what `update` writes, so that it changes figures alone."""
    recipe, records = read_recipe(name), read_records(name)
    text = (ROOT / "configs" / f"{name}.py").read_text()
    assert (measured_lines(recipe.bands) if all(recipe.bands.values()) else NOT_RUN) in text
    assert not records or stated(text, recipe, records) == text


@pytest.mark.parametrize("name", find())
def test_recipe_records_and_readme_agree(name):
    assert disagreements([name]) == []


def test_the_check_imports_no_tensorflow():
    code = "from zoo import baselines; baselines.disagreements(baselines.find())\n"
    code += "import sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
