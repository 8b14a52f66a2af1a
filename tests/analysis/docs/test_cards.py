"""The cards and the tables of README and docs/ are up to date, and what is written by hand in them is true."""

import dataclasses
import itertools
import json
import re
import shlex
import shutil
import sys
import types

import pytest

import zoo
from zoo import registry
from zoo.analysis.docs import cards, readme
from zoo.analysis.docs.subjects import families, recipes_by_tier
from zoo.baselines import records
from zoo.baselines.agreement import PAGES
from zoo.cli import console, options, train
from zoo.cli.commands import run_zoo
from zoo.config import FIELDS
from zoo.errors import RequestError


def text_of(family):
    return (cards.CARDS / f"{family}.md").read_text()


# Families whose figures are quick to make.
SMALL = ("lenet", "mlp", "multi_input", "resnet_cifar", "siamese", "simple_cnn")
FAMILIES = families()
# Those of which a card says more than what is made; a new family may wait for that.
WRITTEN = [family for family in FAMILIES if "## When to use it" in text_of(family)]
HINT = "run: python -m zoo document"


def by_hand(text):
    """What of a page is not made."""
    return cards.REGION.sub("", text)


def test_all_but_the_large_figures_is_up_to_date():
    zoo.build_model("resnet20")  # whose operations without a name take the first numbers
    assert cards.stale(SMALL) == [], HINT


@pytest.mark.slow
def test_everything_is_up_to_date():
    assert cards.stale() == [], HINT


@pytest.mark.parametrize("family", WRITTEN)
def test_a_person_has_written_about_the_family(family):
    text = by_hand(text_of(family))
    what, when = re.search(r"-->\n(.*?)\n## When to use it\n(.*?)\n## ", text, re.DOTALL).groups()
    assert len(what.split()) > 30
    assert len(when.split()) > 40
    assert "o not take" in " ".join(when.split())
    assert max(map(len, text.splitlines())) <= 120


def test_most_families_are_written_about():
    assert len(WRITTEN) >= 23


def letters(text):
    """Text without TeX, capitals and punctuation."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\\.", "", text).lower())


@pytest.mark.parametrize("family", WRITTEN)
def test_the_citations_are_of_the_papers_of_the_registry(family):
    entries = re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", text_of(family), re.MULTILINE | re.DOTALL)
    fields = [dict(re.findall(r"^  (\w+) += \{(.*?)\},?$", body, re.MULTILINE | re.DOTALL)) for _, body in entries]
    assert len({key for key, _ in entries}) == len(entries)
    for paper in {info.paper for info in FAMILIES[family]}:
        (cited,) = [entry for entry in fields if letters(entry["title"]) in letters(paper.split(" (")[0])]
        assert letters(cited["author"]).startswith(letters(re.match(r"[\w-]+", paper)[0]))
        identifier = re.search(r"arXiv:([\d.]+)", paper.split(" (")[0])
        assert cited.get("eprint") == (identifier and identifier[1])
        # A paper is printed in the year of its preprint, or up to three years later.
        assert 0 <= int(cited["year"]) - int(re.search(r"\b(?:19|20)\d\d\b", paper)[0]) <= 3
        assert {"journal", "booktitle"} & cited.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_links_lead_somewhere_and_commands_are_understood(family):
    text = text_of(family)
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) >= 3
    for link in links:
        assert (cards.CARDS / link).exists(), link
    commands = re.findall(r"^    python (train\.py .*)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        given = options.parse(train, "train.py", shlex.split(command)[1:])
        assert options.config_of(given).model in {info.name for info in FAMILIES[family]}


def test_counts_are_those_of_the_net():
    """The perceptron 784-256-128-64-10, counted here."""
    sizes = (784, 256, 128, 64, 10)
    macs = sum(a * b for a, b in itertools.pairwise(sizes))
    assert f"| `mlp` | 28 x 28 x 1 | 10 | {macs + sum(sizes[1:]):,} | {macs:,} |" in text_of("mlp")


def test_hyperparameters_are_explained():
    explained = cards.meanings(zoo.model_info("resnext50_32x4d"))
    assert list(explained) == ["small_stem", "zero_gamma", "conv_bias", "caffe_layout", "features"]
    assert explained["features"] == "give the last feature map of each stride in place of the logits"
    for info in [info for models in FAMILIES.values() for info in models]:
        assert all(cards.meanings(info).values()), info.name


def test_another_count_makes_the_card_stale(monkeypatch):
    info = dataclasses.replace(zoo.model_info("mlp"), parameters=1)
    monkeypatch.setattr(registry, "_MODELS", {**registry._MODELS, "mlp": info})
    assert cards.stale(()) == ["docs/models/mlp.md"]


def test_another_band_makes_card_and_readme_stale(monkeypatch, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(records.RESULTS, copy)
    monkeypatch.setattr(records, "RESULTS", copy)
    assert cards.stale(()) == []
    for seed, accuracy in enumerate((0.5, 0.5, 0.25, 0.75, 0.5)):
        record = json.loads((copy / "mlp_digits" / f"{seed}.json").read_text())
        record["result"]["metrics"]["test/accuracy"] = accuracy
        record["result"]["wall_seconds"] = 1000 + seed
        (copy / "mlp_digits" / f"{seed}.json").write_text(json.dumps(record))
    assert cards.stale(()) == ["docs/models/mlp.md", "README.md"]
    assert "test/accuracy 0.5000 ± 0.1768 (5 seeds) | 1002 s |" in cards.pages(())[cards.ROOT / "README.md"]


def test_another_default_or_augmentation_makes_its_page_stale(monkeypatch):
    assert cards.stale(()) == []
    epochs = types.SimpleNamespace(default=7, metadata=FIELDS["epochs"].metadata)
    monkeypatch.setattr(readme, "FIELDS", {**FIELDS, "epochs": epochs})
    monkeypatch.setattr(readme, "written_augmentations", lambda: {"blur:3": "pixels"})
    assert cards.stale(()) == ["docs/training.md", "docs/data.md"]
    made = cards.pages(())
    assert "| `--epochs` | `7` | passes over the training split |" in made[cards.ROOT / "docs" / "training.md"]
    assert "| `blur:3` | pixels |" in made[cards.ROOT / "docs" / "data.md"]


def test_what_was_not_run_claims_nothing():
    rows = "".join((cards.ROOT / page).read_text() for page in PAGES).splitlines()
    for recipe in recipes_by_tier():
        row = next(line for line in rows if line.startswith(f"| `configs/{recipe.name}.py`"))
        assert ("±" in row) == bool(records.read_records(recipe.name))
    assert cards.baselines_text([]) == "No recipe yet, so nothing is claimed of this family: *not yet run here*."


@pytest.fixture
def scratch(monkeypatch, tmp_path):
    """Cards, pages and README in a folder of their own."""
    shutil.copytree(cards.CARDS.parent, tmp_path / "docs")
    shutil.copy(cards.ROOT / "README.md", tmp_path)
    monkeypatch.setattr(cards, "ROOT", tmp_path)
    monkeypatch.setattr(cards, "CARDS", tmp_path / "docs" / "models")
    return tmp_path


@pytest.fixture
def linear(monkeypatch):
    """A new family: the file of the example in docs/contributing.md, and nothing else."""
    page = (cards.ROOT / "docs" / "contributing.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    module = types.ModuleType("zoo.models.sequential.linear")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    exec(code, vars(module))


def test_a_new_architecture_needs_nothing_else_for_its_card(scratch, linear):
    assert set(cards.write(["linear"])) == {"docs/models/linear.md", "docs/models/linear.svg", "README.md"}
    assert cards.stale(["linear"]) == []
    text = text_of("linear")
    assert "| `linear` | 28 x 28 x 1 | 10 | 7,850 | - | A linear classifier |" in text
    assert "**Sequential**: one path of layers." in text
    assert "It has 1 layer with weights on the longest path. " in text
    assert "dense, 10" in (scratch / "docs" / "models" / "linear.svg").read_text()
    assert (
        "\n| [`linear`](docs/models/linear.md) | Sequential | `linear` | Author Year"
        in (scratch / "README.md").read_text()
    )


def test_what_is_written_by_hand_stays(scratch, linear):
    cards.write(["linear"])
    path = scratch / "docs" / "models" / "linear.md"
    path.write_text(text_of("linear").replace("## Block", "Mine.\n\n## Block").replace("7,850", "8,000"))
    assert cards.write(["linear"]) == ["docs/models/linear.md"]
    assert "Mine.\n\n## Block" in text_of("linear")
    assert "7,850" in text_of("linear")


def test_pages_that_cannot_be_made(scratch):
    card = scratch / "docs" / "models" / "mlp.md"
    text = card.read_text()
    card.write_text(text.replace("<!-- end of models -->", ""))
    with pytest.raises(RequestError, match=r"docs/models/mlp.md has no lines <!-- models --> and <!-- end of models"):
        cards.pages(())
    card.write_text(text.replace("figure: mlp", "figure: vgg16"))
    with pytest.raises(RequestError, match=r"docs/models/mlp.md must ask for a figure of one of its models"):
        cards.pages(())
    card.write_text(text.replace("figure: mlp", "figure: mlp nothing"))
    with pytest.raises(RequestError, match=r"the figure of docs/models/mlp.md: no layer of mlp"):
        cards.pages(["mlp"])
    page = scratch / "docs" / "data.md"
    page.write_text(page.read_text().replace("<!-- augmentations -->", ""))
    with pytest.raises(RequestError, match=r"docs/data.md has no lines <!-- augmentations -->"):
        cards.pages(())
    page.rename(page.with_name("other.md"))
    with pytest.raises(RequestError, match=r"there is no docs/data.md in .*; work in a clone"):
        cards.pages(())
    page.with_name("other.md").rename(page)
    card.rename(card.with_name("gone.md"))
    with pytest.raises(RequestError, match=r"docs/models has files of no family: gone.md; remove them"):
        cards.pages(())


def test_speed_is_that_of_the_record(monkeypatch, tmp_path):
    side = {"title": "zoo", "images_per_second": 1234.5, "fraction_of_matmul": 0.654, "times_slower": None}
    keras = {**side, "times_slower": {"median": 2.0, "least": 1.5, "most": 22.25}}
    work = {"title": "MLP", "kind": "train", "sides": {"zoo": side, "keras": keras, "torch": {"times_slower": None}}}
    record = {"works": {"mlp": work, "start": {**work, "kind": "start"}}}
    monkeypatch.setattr(readme, "BENCHMARKS", tmp_path / "benchmarks.json")
    assert readme.benchmarks_table() == ""
    readme.BENCHMARKS.write_text(json.dumps(record))
    assert readme.benchmarks_table().splitlines() == [
        "| work | zoo, images/s | times faster than Keras | times faster than PyTorch | times faster than JAX "
        "| of matmul |",
        "|---|---:|---|---|---|---|",
        "| MLP | 1,234 | 2.00 (1.50 to 22.2) | - | - | 0.654 |",
    ]


def test_the_command(scratch, monkeypatch, capsys):
    page = scratch / "page.md"
    monkeypatch.setattr(cards, "pages", lambda seen=None: {page: "new"})
    assert console.run(run_zoo, ["document", "--check"]) == console.FAILED
    assert capsys.readouterr() == (
        "page.md\n",
        "error: these files are not up to date; python -m zoo document writes them\n",
    )
    assert not page.exists()
    assert console.run(run_zoo, ["document"]) == console.DONE
    assert (capsys.readouterr().out, page.read_text()) == ("page.md\n", "new")
    assert console.run(run_zoo, ["document", "--check"]) == console.DONE
