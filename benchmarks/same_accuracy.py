"""The recipes for digits beside the same in plain Keras: whether the zoo's speed costs accuracy.

    python -m benchmarks.same_accuracy [--seeds=20] [RECIPE ...] [--output=docs/same_accuracy.md]

Each recipe is trained over the seeds 0, 1, ... by the zoo, as `train.py` does it, and by Keras `fit` with the same
hyperparameters, `benchmarks.plain_keras`. What is finished stands in `results/same_accuracy.json` and is not run again,
so the same command goes on where it was stopped; it drops results of a recipe that has changed, or of other versions
of zoo, Keras or TensorFlow. To add seeds until the interval fits would be to choose the result: keep to their number.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.works import RUN_FIELDS
from zoo.cli import console
from zoo.config import ExperimentConfig, differences, load_config
from zoo.errors import RequestError, RunError, unknown
from zoo.runs.files import replacing
from zoo.version import __version__

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "same_accuracy.json"
# Those of resnet18 are about weights to begin with, and take statistics anew, which plain Keras does not.
RECIPES = {path.stem: path for path in sorted((ROOT / "configs").glob("*_digits.py")) if "resnet18" not in path.stem}
SIDES = ("zoo", "keras")
SEEDS = 20
# A process trains so many seeds; then the next recipe has its turn, so that all have their first seeds early.
SEEDS_IN_TURN = 2
# How far apart two means may be and still be called the same.
MARGIN = 0.01
# {recipe: {"setting": what its results are of, "zoo": {seed: accuracy}, "keras": {seed: accuracy}}}
Results = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of two means.

    Attributes:
        mean: the first less the second.
        half_width: the 95 % interval goes so far both ways.
    """

    mean: float
    half_width: float

    @property
    def within(self) -> bool:
        """Whether the whole interval lies within `MARGIN`."""
        return abs(self.mean) + self.half_width <= MARGIN

    @property
    def real(self) -> bool:
        """Whether the interval leaves out 0."""
        return abs(self.mean) > self.half_width


def welch(one: Sequence[float], other: Sequence[float]) -> Difference:
    """The difference of the means of two independent samples, which may differ in size and spread.

    Welch 1947, The generalization of "Student's" problem when several different population variances are involved,
    Biometrika 34:28-35, with the degrees of freedom of Satterthwaite 1946.

    Args:
        one: at least two values.
        other: likewise.
    """
    # Here, since it takes a second to import, which a wrong request need not wait for.
    from scipy import stats

    mean = statistics.mean(one) - statistics.mean(other)
    if len({*one}) == len({*other}) == 1:
        return Difference(mean, 0.0)
    with warnings.catch_warnings():
        # One side may have the same value for all seeds, which SciPy suspects to be rounding.
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    return Difference(mean, float(interval.high - interval.low) / 2)


def read_results() -> Results:
    """What is finished, by recipe; the seeds are whole numbers."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for recipe in results.values():
        for side in SIDES:
            recipe[side] = {int(seed): value for seed, value in recipe[side].items()}
    return results


def write_results(results: Results) -> None:
    """Puts the file in its place whole, recipes and seeds in order."""
    ordered = {
        name: {"setting": recipe["setting"], **{side: dict(sorted(recipe[side].items())) for side in SIDES}}
        for name, recipe in sorted(results.items())
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with replacing(RESULTS) as temporary:
        temporary.write_text(json.dumps(ordered, indent=1) + "\n")


def setting(config: ExperimentConfig) -> dict[str, Any]:
    """What decides a recipe's results beside the seed: the fields that are not as they come, and the versions."""
    fields = {name: value for name, (_, value) in differences(ExperimentConfig(), config).items()}
    return {
        "recipe": {name: value for name, value in fields.items() if name not in RUN_FIELDS},
        "versions": {"zoo": __version__, **{name: metadata.version(name) for name in ("tensorflow", "keras")}},
    }


def accuracy(recipe: str, side: str, seed: int, data_dir: str | None) -> float:
    """Test accuracy after the last epoch; for a process in which nothing but this recipe runs.

    Args:
        recipe: of `RECIPES`.
        side: of `SIDES`.
        seed: of weights, order, augmentation and dropout.
        data_dir: where the zoo has its datasets; default: TFDS' own.
    """
    config = dataclasses.replace(load_config(str(RECIPES[recipe])), seed=seed)
    console.import_tensorflow()
    import keras

    from benchmarks import plain_keras
    from zoo.places.strategy import set_cpu_threads
    from zoo.training.loop import train_and_evaluate

    keras.backend.clear_session()
    set_cpu_threads(config.cpu_threads)
    if side == "keras":
        value = plain_keras.accuracy(config)
    else:
        with tempfile.TemporaryDirectory() as workdir, contextlib.redirect_stderr(io.StringIO()):
            value = train_and_evaluate(config, workdir, data_dir=data_dir)["metrics"]["test/accuracy"]
    # Keras' is a float32.
    return round(value, 6)


def serve(recipe: str, side: str, seeds: Sequence[int], data_dir: str | None, connection: Connection) -> None:
    """What a process does: it sends the accuracy of each seed. Where nobody listens any more, it ends."""
    for seed in seeds:
        value = accuracy(recipe, side, seed, data_dir)
        try:
            connection.send(value)
        except BrokenPipeError:
            return


def train(recipe: str, seeds: dict[str, list[int]], data_dir: str | None) -> Iterator[tuple[str, int, float]]:
    """Trains the seeds of each side in a process of its own, at the same time; gives side, seed and accuracy.

    Raises:
        RunError: a process ended before its seeds did.
    """
    context = multiprocessing.get_context("spawn")
    waiting = {}
    for side, numbers in seeds.items():
        here, there = context.Pipe(duplex=False)
        context.Process(target=serve, args=(recipe, side, numbers, data_dir, there), daemon=True).start()
        there.close()
        waiting[here] = side, list(numbers)
    while waiting:
        for connection in wait(list(waiting)):
            side, left = waiting[connection]
            try:
                value = connection.recv()
            except EOFError:
                raise RunError(f"the process that trained {recipe} by {side} ended at seed {left[0]}") from None
            yield side, left.pop(0), value
            if not left:
                del waiting[connection]


def run_missing(results: Results, recipes: Sequence[str], seeds: int, data_dir: str | None) -> None:
    """Trains what the results lack, and writes them after each run."""
    for start in range(0, seeds, SEEDS_IN_TURN):
        turn = range(start, min(start + SEEDS_IN_TURN, seeds))
        for name in recipes:
            finished = results[name]
            missing = {side: [seed for seed in turn if seed not in finished[side]] for side in SIDES}
            began = time.monotonic()
            for side, seed, value in train(name, {side: left for side, left in missing.items() if left}, data_dir):
                finished[side][seed] = value
                write_results(results)
                seconds = time.monotonic() - began
                print(f"{name} {side:<5} seed {seed}: {value:.4f} after {seconds:.0f} s", file=sys.stderr, flush=True)


def document(results: Results) -> str:
    """The text of docs/same_accuracy.md."""
    lines = [
        "# The same accuracy as plain Keras",
        "",
        "Made by `python -m benchmarks.same_accuracy` from `results/same_accuracy.json`. Each recipe for digits is "
        "trained over seeds by the zoo and by Keras `fit` with the same hyperparameters; what counts is the accuracy "
        "on the test split after the last epoch. The interval is Welch's for the difference of the two means, zoo less "
        f"Keras, at 95 %; the two are called the same where all of it lies within +-{MARGIN}.",
        "",
        "| recipe | zoo: mean +- sd (seeds) | Keras: mean +- sd (seeds) | difference | 95 % interval "
        f"| within +-{MARGIN} | leaves out 0 |",
        "|---|" + "---|" * 6,
        *(_row(name, results.get(name)) for name in RECIPES),
        "",
        *_versions(results),
        f"There are {SEEDS} seeds since six had shown how far they spread; the others were run after that was decided.",
        "",
        "Standard deviations are over seeds, on one test split of 360 digits; the interval is about what another set "
        "of seeds would give, not about other digits.",
        "",
        "The Keras side is `benchmarks/plain_keras.py`: the same architecture with `keras.layers.BatchNormalization` "
        "in place of the zoo's fused one, scikit-learn's digits, `tf.data` that shuffles, crops image by image and "
        "leaves out the last batch where it is not full, Keras' optimizers, `CosineDecay`, "
        "`SparseCategoricalCrossentropy` and `L2` of half the recipe's l2 on kernels alone. "
        "`tests/test_same_accuracy.py` shows that the two take the same steps: from equal weights and with equal "
        "batches their weights agree after three updates, and their data, crops and learning rates are the same "
        "throughout. Seeds give each side its own initial weights, order, crops and dropout.",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, recipe: dict[str, Any] | None) -> str:
    samples = [list(recipe[side].values()) if recipe else [] for side in SIDES]
    if min(map(len, samples)) < 2:
        return f"| `{name}` | not yet run here | | | | | |"
    shown = [f"{statistics.mean(s):.4f} +- {statistics.stdev(s):.4f} ({len(s)})" for s in samples]
    difference = welch(*samples)
    low, high = difference.mean - difference.half_width, difference.mean + difference.half_width
    verdict = "yes" if difference.within else "**no**"
    if min(map(len, samples)) < SEEDS:
        verdict = f"not yet {SEEDS} seeds"
    return (
        f"| `{name}` | {shown[0]} | {shown[1]} | {difference.mean:+.4f} | {low:+.4f} to {high:+.4f} "
        f"| {verdict} | {'**yes**' if difference.real else 'no'} |"
    )


def _versions(results: Results) -> list[str]:
    """What the results were made with; recipes may have been run with different versions."""
    texts = {
        ", ".join(f"{name} {version}" for name, version in recipe["setting"]["versions"].items())
        for recipe in results.values()
    }
    return [f"Run with {'; '.join(sorted(texts))}.", ""] if texts else []


def main(argv: Sequence[str]) -> None:
    """Runs what is missing, then prints or writes the text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", metavar="RECIPE", help=f"any of {', '.join(RECIPES)}; default: all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="run 0 to SEEDS - 1; 0: nothing [%(default)s]")
    parser.add_argument("--again", action="store_true", help="drop what is finished of these recipes first")
    parser.add_argument("--data_dir", help="where the zoo has its datasets; default: TFDS' own")
    parser.add_argument("--output", type=Path, help="a file for the text; default: it is printed")
    options = parser.parse_args(argv)
    for name in options.recipe:
        if name not in RECIPES:
            raise unknown("recipe", name, RECIPES)
    if options.seeds < 0:
        raise RequestError(f"seeds is {options.seeds}; it must be at least 0")
    recipes, results = options.recipe or list(RECIPES), read_results()
    for name in recipes if options.seeds else ():
        now = setting(load_config(str(RECIPES[name])))
        if options.again or results.get(name, {}).get("setting") != now:
            results[name] = {"setting": now, "zoo": {}, "keras": {}}
    run_missing(results, recipes, options.seeds, options.data_dir)
    text = document(results)
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text)


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
