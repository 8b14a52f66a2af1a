"""Every page as a browser shows it, on a phone and on a screen, in the light and in the dark.

Nothing is wider than the window except what scrolls, no text is smaller than 11 pixels, covered, on a line, or of a
contrast below 4.5 (WCAG 2.2, AA) to what is below it, and no two texts of a figure touch; see `probe.js`.
"""

from pathlib import Path

import chromium
import made
import numpy as np
import pytest

from benchmarks import table
from zoo.analysis.runs import compare, overview, page, report
from zoo.baselines.records import RESULTS
from zoo.cli.report import known_recipes
from zoo.runs import records
from zoo.training.data import open_data

PROBE = (Path(__file__).parent / "probe.js").read_text()
SVG = Path(__file__).parents[2] / "docs" / "benchmarks.svg"
LONG = [f"class {number} with a name that is long, <&> and longer" for number in range(20)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.found() is None, reason="there is no Chromium; apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser for all pages."""
    one = chromium.Browser(chromium.found(), tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


def answers(num, classes, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=num).astype("int32")
    predicted = np.where(rng.random(num) < 0.6, label, rng.integers(classes, size=num)).astype("int32")
    confidence = rng.random(num).astype("float32")
    return {"label": label, "predicted": predicted, "confidence": confidence, "loss": confidence}


def many_rows(**metrics):
    values = [3 * 0.6**epoch for epoch in range(30)]
    rows = made.curve(values=values)
    for row, value in zip(rows, np.linspace(0.1, 0.99, len(rows)), strict=True):
        row.update(dict.fromkeys(metrics, value))
    return rows


def run_page(folder, answered, *, config=None, **more):
    config = config or made.config()
    made.workdir(folder / "run", config, answered, {"test/accuracy": 0.5, "test/loss": 0.25}, **more)
    return report.write_run(records.read(folder / "run"), folder / "page")


def classification(folder):
    config = made.config(dataset="synthetic:9x7x3,classes=20,examples=6400")
    known = answers(640, 20)
    known["example"] = np.array(
        [f"{LONG[number]}/{'n' * 30}_{place}.png" for place, number in enumerate(known["label"])]
    )
    rows = many_rows(accuracy=0, top5_accuracy=0, calibration_error=0)
    return run_page(folder, known, config=config, class_names={"label": LONG}, rows=rows)


def multi_output(folder):
    known = {f"kind/{name}": values for name, values in answers(64, 4).items()}
    known |= {f"form/{name}": values for name, values in answers(64, 30, seed=1).items()}
    known |= {"angle/loss": np.zeros(64), "angle/error": np.random.default_rng(1).random(64)}
    names = {"kind": made.NAMES, "form": [f"form {number}" for number in range(30)], "angle": []}
    return run_page(folder, known, class_names=names, rows=many_rows(kind_accuracy=0, form_accuracy=0))


def verification(folder):
    config = made.config(model="siamese", ways=4, shots=2)
    batches = open_data(config).evaluation_batches()
    same = batches.evaluate(np.arange(batches.num_examples))["same"].numpy()
    score = (np.random.default_rng(2).random(len(same)) + 0.3 * same).astype("float32")
    known = {"score": score, "same": same, "loss": score}
    known |= {
        f"{side}_example": np.array([f"some/folder/{side}_{i}.png" for i in range(len(same))])
        for side in ("left", "right")
    }
    return run_page(folder, known, config=config, rows=many_rows(accuracy=0))


def stopped(folder):
    rows = many_rows(accuracy=0)
    rows[-1]["loss"] = float("nan")
    run = made.unfinished(folder / "run", made.config(), rows)
    return report.write_run(records.read(run), folder / "page")


def compared(folder):
    runs = []
    for number, model in enumerate(("mlp", "lenet5", "simple_cnn")):
        name = f"a_run_whose_name_is_long_{model}-{number}"
        config = made.config(model=model, seed=number)
        runs.append(records.read(made.unfinished(folder / name, config, many_rows(accuracy=0))))
    path = folder / "compare.html"
    compare.write(runs, path)
    return path


def all_records(folder):
    return overview.write_overview(RESULTS, folder, known_recipes())


def benchmark_chart(folder):
    """What a page shows that takes the chart in, as wide as it has room for."""
    style = "body { margin: 0; } svg { max-width: 100%; height: auto; }"
    path = folder / "chart.html"
    head = f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style>'
    path.write_text(f"<!DOCTYPE html><html><head>{head}</head><body>{SVG.read_text()}</body></html>")
    return path


PAGES = [classification, multi_output, verification, stopped, compared, all_records, benchmark_chart]


@pytest.mark.parametrize("make", PAGES, ids=lambda make: make.__name__)
def test_a_page_can_be_read(make, browser, tmp_path):
    browser.open(make(tmp_path))
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in (390, 1280):
        for dark in (False, True):
            browser.show(width, dark=dark)
            assert browser.evaluate("innerWidth") == width
            assert browser.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate(PROBE) == [], (width, dark)


BAD = {
    "is wider than the window": '<div style="width: 500px">wide</div>',
    "has 10.0 pixels": '<p style="font-size: 10px">small</p>',
    "has a contrast of 2.8": '<p style="color: #999">pale</p>',
    "has a contrast of 1.0": '<div style="background: var(--ink)">dark on dark</div>',
    "has 5.0 pixels": '<svg width="50" viewBox="0 0 100 20"><text y="15" font-size="10">shrunk</text></svg>',
    "lies on a line or a mark": '<svg width="100" viewBox="0 0 100 20">'
    '<path d="M 0 11.5 H 90" stroke="red" fill="none"/><text y="15" font-size="14" fill="#000">crossed</text></svg>',
    "touches": '<svg width="100" viewBox="0 0 100 20"><text y="15">one</text><text y="15" x="5">two</text></svg>',
    "is covered or cut off": "<p>hidden</p>"
    '<div style="background: #fff; height: 4rem; margin-top: -3rem; position: relative"></div>',
    "lies on a picture": '<div style="display: grid"><img style="grid-area: 1/1" width="100" height="20" alt="">'
    '<span style="grid-area: 1/1; position: relative">on it</span></div>',
}


@pytest.mark.parametrize("problem", BAD)
def test_a_page_that_cannot_be_read_is_seen(problem, browser, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(page.document("bad", page.paragraph("lead"), [page.section("part", page.Markup(BAD[problem]))]))
    browser.open(path)
    browser.show(390, dark=False)
    found = browser.evaluate(PROBE)
    assert found
    assert all(problem in each for each in found)


def test_what_scrolls_may_be_wider_than_the_window(browser, tmp_path):
    path = tmp_path / "wide.html"
    table_of_many = page.table([f"column {number}" for number in range(9)], [range(9)], label="wide")
    path.write_text(page.document("wide", page.paragraph("lead"), [page.section("part", table_of_many)]))
    browser.open(path)
    browser.show(390, dark=False)
    assert browser.evaluate("document.querySelector('.scroll').scrollWidth") > 390
    assert browser.evaluate(PROBE) == []
    # A shade says that there is more; at the end of the table it is gone.
    assert "local, local, scroll, scroll" in browser.evaluate(
        "getComputedStyle(document.querySelector('.scroll')).backgroundAttachment"
    )


def test_the_chart_is_the_one_of_the_record():
    recorded = records.read_benchmarks(RESULTS)
    assert SVG.read_bytes() == table.plot(recorded)
