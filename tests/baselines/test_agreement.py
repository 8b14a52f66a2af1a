"""Config files, records and README say the same, and what disagrees is named."""

import subprocess
import sys

import pytest
from clones import BAND, MEASURED, NOT_RUN, ROOT, TIME

from zoo.baselines.agreement import disagreements, stated
from zoo.baselines.recipes import find, read_recipe
from zoo.baselines.records import read_records


def test_all_that_disagrees_is_named(recorded):
    def said() -> list[str]:
        status, out, err = recorded("--check")
        assert (status, err[:15]) == (1, f"error: {len(out.splitlines())} disagr")
        return out.splitlines()

    assert recorded("--check")[:2] == (0, "1 recipes: configs, records and README agree\n")
    recorded.readme("0.9201 ± 0.0200")
    assert said() == ["results/tiny gives test/accuracy 0.9200 +- 0.0200, README.md's row has other figures"]
    recorded.readme("0.9200 ± 0.0200", "3 s")
    assert said() == ["results/tiny gives the time 7 s, README.md's row has another one"]
    recorded.readme("0.9200 ± 0.0200")
    recorded.write(BAND.replace("0.9200", "0.9300"))
    measured = MEASURED[11:-1]
    for change in (("0.9200", "0.9300"), ("0 to 2", "0 to 3"), ("0.0200, mean", "0.0200 or so, mean")):
        recorded.write(BAND.replace(*change))
        assert said() == [f"configs/tiny.py states '{measured.replace(*change)}', results/tiny gives '{measured}'"]
    recorded.write(BAND.replace("7 s", "3 s"))
    assert said() == [
        f"configs/tiny.py states the time {TIME[11:-1].replace('7 s', '3 s')}, results/tiny gives {TIME[11:-1]}"
    ]
    recorded.write(NOT_RUN)
    assert said() == [
        f"configs/tiny.py states 'not yet run here', results/tiny gives '{measured}'",
        f"configs/tiny.py states the time not yet run here, results/tiny gives {TIME[11:-1]}",
    ]
    recorded.write(BAND, epochs=2)
    assert said() == [f"results/tiny/{seed}.json was made with epochs 1, configs/tiny.py has 2" for seed in range(3)]
    recorded.write(BAND)
    (recorded.root / "README.md").write_text("nothing\n")
    assert said() == ["neither README.md nor docs/reproducing.md has a row of configs/tiny.py"]
    for seed in (1, 2):
        recorded.file(seed).unlink()
    assert said() == ["results/tiny has a record of one seed; a mean and a deviation need at least 2"]


def test_a_recipe_that_was_not_run_claims_nothing(clone):
    assert clone("--check")[0] == 0
    clone.readme("0.9200 ± 0.0200")
    assert clone("--check")[1].splitlines() == [
        "README.md states a band of configs/tiny.py, which is not yet run here",
        "README.md's row of configs/tiny.py lacks the published 0.921",
    ]


def test_a_row_may_stand_on_the_page_of_recipes(clone):
    row = (clone.root / "README.md").read_text()
    (clone.root / "README.md").write_text("nothing\n")
    (clone.root / "docs").mkdir()
    page = clone.root / "docs" / "reproducing.md"
    page.write_text(row)
    assert clone("--check")[0] == 0
    page.write_text(row.replace("0.921", "0.9200 ± 0.0200"))
    assert clone("--check")[1].splitlines() == [
        "docs/reproducing.md states a band of configs/tiny.py, which is not yet run here",
        "docs/reproducing.md's row of configs/tiny.py lacks the published 0.921",
    ]


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
    assert "results/tiny gives 'test/accuracy 0.9200 +- 0.0283, mean and standard deviation" in out
    # Folders of something else are none of a recipe's.
    report = recorded.root / "results" / "report"
    report.mkdir()
    (report / "index.html").write_text("")
    (recorded.root / "results" / "tiny").rename(recorded.root / "results" / "gone")
    assert recorded("--check")[1].splitlines() == [
        f"configs/tiny.py states '{MEASURED[11:-1]}', and results/tiny has no records of it",
        "README.md states a band of configs/tiny.py, which is not yet run here",
        "README.md's row of configs/tiny.py lacks the published 0.921",
        "results/gone has no configs/gone.py",
    ]


@pytest.mark.parametrize("name", find())
def test_the_band_is_written_as_it_stands(name):
    """The docstrings hold what `update` writes, so that it changes figures alone."""
    recipe, records = read_recipe(name), read_records(name)
    text = (ROOT / "configs" / f"{name}.py").read_text()
    assert stated(text, recipe, records) == text if records else NOT_RUN in text


@pytest.mark.parametrize("name", find())
def test_recipe_records_and_readme_agree(name):
    assert disagreements([name]) == []


def test_the_check_imports_no_tensorflow():
    code = "from zoo import baselines; baselines.disagreements(baselines.find())\n"
    code += "import sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
