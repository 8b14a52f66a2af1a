"""Every recipe: what it says of itself, that it runs, and, of those for other datasets, that it is the paper's."""

import ast
import dataclasses
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo import registry
from zoo.baselines.bands import Band, bands_of, compare, metrics_of
from zoo.baselines.recipes import read_recipe
from zoo.baselines.records import read_records
from zoo.config import load_config, parse_labels
from zoo.data.sources import EMBEDDED, InMemorySource, load_source
from zoo.tasks import verification
from zoo.training import data
from zoo.training.experiment import make_experiment
from zoo.training.loop import train_and_evaluate
from zoo.training.optimizers import LearningRate

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*.py"))
# What a config's name has for a dataset's.
SHORT_NAMES = {"imagenet2012": "imagenet"}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What TFDS has under a name.

    Attributes:
        image: shape of an image; None where images differ.
        labels: classes of each label.
        splits: examples of the splits that the recipes name, by TFDS' catalog.
    """

    image: tuple[int | None, ...]
    labels: dict[str, int]
    splits: dict[str, int]


DATASETS = {
    "mnist": Dataset((28, 28, 1), {"label": 10}, {"train": 60_000, "test": 10_000}),
    "fashion_mnist": Dataset((28, 28, 1), {"label": 10}, {"train": 60_000, "test": 10_000}),
    "cifar10": Dataset((32, 32, 3), {"label": 10}, {"train": 50_000, "test": 10_000}),
    "cifar100": Dataset((32, 32, 3), {"label": 100, "coarse_label": 20}, {"train": 50_000, "test": 10_000}),
    "omniglot": Dataset((105, 105, 3), {"label": 1623, "alphabet": 50}, {"train": 19_280, "test": 13_180}),
    "imagenet2012": Dataset((None, None, 3), {"label": 1000}, {"train": 1_281_167, "validation": 50_000}),
}
CONFIGS = {file: load_config(str(file)) for file in FILES}
OFFLINE = [file for file, config in CONFIGS.items() if config.dataset in EMBEDDED]
PREPARED = [file for file in FILES if file not in OFFLINE]


def record(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text()))


def measured(file: Path) -> dict[str, Band]:
    """The bands by metric; none where the recipe was not yet run."""
    records = read_records(file.stem)
    return bands_of(records, metrics_of(read_recipe(file.stem), records)) if records else {}


def of(name: str):
    return CONFIGS[ROOT / "configs" / f"{name}.py"]


def files(chosen: list[Path], *slow: str) -> pytest.MarkDecorator:
    """One test for each file; those that hold one of the words `slow` in their names are slow ones."""
    marks = {file: [pytest.mark.slow] if any(word in file.stem for word in slow) else [] for file in chosen}
    return pytest.mark.parametrize("file", [pytest.param(file, marks=marks[file], id=file.stem) for file in chosen])


@files(FILES)
def test_the_record_is_complete(file):
    config = CONFIGS[file]
    family = registry.model_info(config.model).family
    start = "finetune_" if config.init_weights else ""
    dataset = SHORT_NAMES.get(config.dataset, config.dataset)
    assert file.stem in {f"{start}{name}_{dataset}" for name in (config.model, family)}
    assert f"Command:   python train.py --config=configs/{file.name}\n" in record(file)
    assert re.search(r"^Published: ", record(file), re.MULTILINE)
    if file in PREPARED:
        assert re.search(r"^Recipe: ", record(file), re.MULTILINE)
        assert re.search(r"^Deviations?:", record(file), re.MULTILINE)
    if file in OFFLINE:
        assert measured(file)
    if measured(file):
        assert read_recipe(file.stem).time
        assert all(band.seeds >= 5 for band in measured(file).values())
    cost = {"digits": "cpu", "glyphs": "cpu-hours", "imagenet2012": "cluster"}.get(config.dataset, "gpu-hours")
    # What begins with the weights of another recipe needs its run first.
    assert read_recipe(file.stem).tier == ("cpu-hours" if config.init_weights else cost)


@files(OFFLINE, "resnet", "glyphs")
def test_runs(file, tmp_path, data_dir):
    # Part of a split may hold one example only of a class, and pairs need two.
    pairs = registry.model_info(CONFIGS[file].model).task == "verification"
    config = dataclasses.replace(
        CONFIGS[file], train_split="train" if pairs else "train[:256]", epochs=1, warmup_epochs=0, cpu_threads=0
    )
    # The run whose weights a recipe begins with takes too long for a test.
    config = dataclasses.replace(config, init_weights="")
    result = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    examples = load_source(config.dataset, config.train_split, data_dir).num_examples
    assert result["steps"] == examples // config.batch_size
    assert set(measured(file)) <= set(result["metrics"])


# A glyph recipe takes minutes, too long for a test.
@pytest.mark.slow
@files([file for file in OFFLINE if CONFIGS[file].dataset == "digits" and not CONFIGS[file].init_weights])
def test_reaches_its_band(file, tmp_path, data_dir):
    """A seed that the record does not hold, in a process of its own, since the recipe sets the threads."""
    argv = [f"--config={file}", "--seed=5", f"--workdir={tmp_path / 'run'}", f"--data_dir={data_dir}"]
    done = subprocess.run([sys.executable, "train.py", *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for metric, band in measured(file).items():
        value = float(re.search(rf"^{metric} +(\S+)", done.stdout, re.MULTILINE)[1])
        holds, why = compare(Band(value, 0.0, 1), band, 1 / 360)
        assert holds, (metric, why)


@pytest.mark.parametrize("name", DATASETS)
def test_tfds_has_what_the_recipes_name(name, monkeypatch, tmp_path):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import gcs_utils

    monkeypatch.setattr(gcs_utils, "_is_gcs_disabled", True)
    builder = tfds.builder(name, data_dir=str(tmp_path))
    known = builder.info.features
    dataset = DATASETS[name]
    assert known["image"].shape == dataset.image
    classes = {
        key: feature.num_classes for key, feature in known.items() if isinstance(feature, tfds.features.ClassLabel)
    }
    assert classes == dataset.labels
    for config in CONFIGS.values():
        if config.dataset != name:
            continue
        assert {config.train_split, config.eval_split} <= set(dataset.splits)
        named = {*parse_labels(config.labels), config.episode_group, config.episode_view, config.condition} - {""}
        assert named <= set(classes)


def test_every_dataset_is_known():
    assert {CONFIGS[file].dataset for file in PREPARED} == set(DATASETS)


def rate_at(config, step: float) -> float:
    steps_per_epoch = DATASETS[config.dataset].splits["train"] // config.batch_size
    return float(LearningRate(config, steps_per_epoch)(step))


def total_steps(config) -> int:
    return config.epochs * (DATASETS[config.dataset].splits["train"] // config.batch_size)


@pytest.mark.parametrize("name", ["resnet20_cifar10", "resnet56_cifar10"])
def test_the_rates_of_he_et_al(name):
    """Steps 32,000, 48,000 and 64,000, to less than an epoch of 390 steps."""
    config = of(name)
    steps = [0, 31_610, 32_390, 47_610, 48_390, total_steps(config) - 1]
    assert [rate_at(config, step) for step in steps] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert abs(total_steps(config) - 64_000) < 390
    assert (config.batch_size, config.momentum, config.l2, config.nesterov) == (128, 0.9, 1e-4, False)


@pytest.mark.parametrize("name", ["wrn_28_10_cifar10", "multi_output_cifar100"])
def test_the_rates_of_zagoruyko_and_komodakis(name):
    config = of(name)
    steps = [390 * epoch for epoch in (0, 59, 61, 119, 121, 159, 161, 199)]
    expected = [0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008, 0.0008]
    assert [rate_at(config, step) for step in steps] == pytest.approx(expected)
    assert (config.epochs, config.batch_size, config.l2, config.nesterov) == (200, 128, 5e-4, True)


def test_the_rates_of_goyal_et_al():
    config = of("resnet50_imagenet")
    steps = [5004 * epoch for epoch in (0, 29, 31, 59, 61, 79, 81, 89)]
    expected = [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4]
    assert [rate_at(config, step) for step in steps] == pytest.approx(expected)
    assert (config.epochs, config.batch_size, config.l2, config.nesterov) == (90, 256, 1e-4, True)


@pytest.mark.parametrize(
    ("name", "first", "factor", "every", "epochs"),
    [("inception_v3_imagenet", 0.045, 0.94, 2, 100), ("googlenet_imagenet", 0.01, 0.96, 8, 250)],
)
def test_the_rates_of_szegedy_et_al(name, first, factor, every, epochs):
    config = of(name)
    assert (config.epochs, config.batch_size) == (epochs, 32)
    middles = [epoch + 0.5 for epoch in (0, every - 1, every, 5 * every, epochs // 2, epochs - 1)]
    expected = [first * factor ** (middle // every) for middle in middles]
    assert [rate_at(config, int(40_036 * middle)) for middle in middles] == pytest.approx(expected)


def test_googlenet_takes_the_steps_of_caffe():
    config = of("googlenet_imagenet")
    assert total_steps(config) == pytest.approx(10_000_000, rel=1e-2)
    # solver.prototxt: 4 % every 320,000 steps.
    for number in (1, 10, 30):
        assert rate_at(config, int(320_000 * (number + 0.2))) == pytest.approx(0.01 * 0.96**number)


def test_the_rates_of_koch_et_al():
    """200 epochs of 150,000 pairs, each 1 % below the one before; here in steps of ten of them."""
    config = of("siamese_koch_omniglot")
    assert total_steps(config) * config.batch_size == pytest.approx(200 * 150_000, rel=0.03)
    for epoch in range(0, 200, 7):
        rate = rate_at(config, int((epoch + 0.5) * total_steps(config) / 200))
        assert rate == pytest.approx(config.learning_rate * 0.99**epoch, rel=0.1)


def test_the_steps_of_uncertainty_baselines():
    """5,000 steps of 256 images, that is 25 epochs of 50,000 images, and of a fifth more here."""
    config = of("lenet5_mnist")
    assert (config.batch_size, config.epochs, total_steps(config)) == (256, 5000 * 256 // 50_000, 25 * 234)


def examples(config, count: int, seed: int) -> InMemorySource:
    """A few random examples of the shape that the dataset has; of each class there are two."""
    rng = np.random.default_rng(seed)
    dataset = DATASETS[config.dataset]
    arrays = {
        # All of one group, so that there are episodes.
        name: np.zeros(count, np.int64) if name == config.episode_group else np.arange(count) // 2 % classes
        for name, classes in dataset.labels.items()
    }
    if None in dataset.image:
        sizes = rng.integers(100, 180, (count, 2))
        arrays["image"] = np.array([jpeg(rng, *size, dataset.image[2]) for size in sizes], object)
    else:
        arrays["image"] = rng.integers(0, 256, (count, *dataset.image), np.uint8)
    names = {name: tuple(map(str, range(classes))) for name, classes in dataset.labels.items()}
    return InMemorySource(arrays, name=config.dataset, class_names=names)


def jpeg(rng, height: int, width: int, channels: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width, channels), np.uint8)).save(file, "JPEG")
    return file.getvalue()


CLASSIFIED = {"loss", "accuracy", "top5_accuracy", "calibration_error"}
METRICS = {
    "classification": CLASSIFIED,
    "multi_output": {"loss", *(f"{head}_{name}" for head in ("label", "coarse_label") for name in CLASSIFIED)},
    "verification": {"loss", "accuracy", "roc_auc", "one_shot_accuracy", "one_shot_pixel_accuracy"},
}


@files(PREPARED, "resnet56", "wrn", "multi", "imagenet", "koch")
def test_takes_a_step_and_evaluates_on_examples_of_the_dataset_s_shape(file, monkeypatch):
    batch = 2 if "imagenet" in file.stem else 4
    config = dataclasses.replace(CONFIGS[file], batch_size=batch)
    kind = registry.model_info(config.model).task
    # An episode has as many ways as the recipe says; 400 of them would take minutes.
    monkeypatch.setattr(verification, "EPISODES", 1)
    held = 2 * config.ways if kind == "verification" else 2 * batch + 1
    sources = {"train": examples(config, 2 * batch, 0), config.eval_split: examples(config, held, 1)}
    monkeypatch.setattr(data, "load_source", lambda name, split, *_, **__: sources[split])
    experiment = make_experiment(config)
    before = experiment.engine.state()
    means = experiment.engine.train_block(next(experiment.training_blocks(experiment.block_plan(), 0)))
    after = experiment.engine.state()
    assert all(np.isfinite(values).all() for values in means.values())
    assert all(np.isfinite(values).all() for values in after.values())
    assert any((before[name] != after[name]).any() for name in before)
    parts = [experiment.engine.evaluate_block(block) for block in experiment.evaluation_blocks()]
    answers = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    summary = experiment.objective.summary(answers)
    assert set(summary) == METRICS[kind]
    assert np.isfinite(list(summary.values())).all()
    assert np.isfinite(answers["loss"]).all()
    # The published figure is of a metric that the run will have.
    published = re.findall(r"\b(test|validation)/(\w+) 0\.\d+", record(file))
    assert all(split == config.eval_split and name in summary for split, name in published)
