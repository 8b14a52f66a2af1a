"""What several seeds gave, and the rule by which what is measured now holds against it."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from zoo.baselines.recipes import Recipe
from zoo.config import EPISODES
from zoo.errors import RequestError, unknown

# Of a hundred comparisons in which nothing has changed, one fails by chance; one of mean and one of spread.
CHANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Band:
    """What several seeds gave in one metric.

    Attributes:
        mean: the mean over the seeds of the metric's last value.
        deviation: their sample standard deviation (n - 1); 0 for a single seed, which has none.
        seeds: how many seeds there are, counted from 0.
    """

    mean: float
    deviation: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" +- {self.deviation:.4f}" if self.seeds > 1 else "") + f" ({self.seeds})"


def metrics_of(recipe: Recipe | None, records: Sequence[dict[str, Any]]) -> list[str]:
    """The metrics by which a recipe is judged: those that its runs are about, and those that others report of it.

    Args:
        recipe: the recipe; None for records that belong to no config file.
        records: those of the recipe. Where there are none, only what is published tells what the recipe is about.

    Raises:
        RequestError: nothing was run, and nothing is published.
    """
    if records:
        published = recipe.published_figures if recipe else ()
        return list(dict.fromkeys([*judged_by(records[0]["result"]["metrics"]), *published]))
    if not recipe.published_metrics:
        raise RequestError(f"configs/{recipe.name}.py was not yet run, and names no metric as published; add one")
    return list(recipe.published_metrics)


def check_records(recipe: Recipe, records: Sequence[dict[str, Any]]) -> None:
    """Raises a `RequestError` where a recipe's records give no band, or nothing says which metric it is about."""
    metrics_of(recipe, records)
    if len(records) == 1:
        raise RequestError(f"results/{recipe.name} has a record of one seed; a mean and a deviation need at least 2")


def judged_by(metrics: Iterable[str]) -> list[str]:
    """The metrics of a run by which it is judged, out of all that it has.

    They are those of the evaluation split. A verification, which has `roc_auc`, is judged by that and, where there are
    episodes, by `one_shot_accuracy`. Any other run is judged by the accuracy of each label, and by the absolute error
    of each label that is a number.
    """
    evaluated = {name.rpartition("/")[2]: name for name in sorted(metrics) if not name.startswith("train/")}
    if "roc_auc" in evaluated:
        return [evaluated[name] for name in ("one_shot_accuracy", "roc_auc") if name in evaluated]
    plain = {name: metric for name, metric in evaluated.items() if not name.endswith("top5_accuracy")}
    return [metric for name, metric in plain.items() if name.endswith(("accuracy", "absolute_error"))]


def bands_of(records: Sequence[dict[str, Any]], metrics: Iterable[str]) -> dict[str, Band]:
    """The bands that records give.

    Raises:
        RequestError: the runs have no such metric.
    """
    bands = {}
    for metric in metrics:
        values = [record["result"]["metrics"].get(metric) for record in records]
        if None in values:
            raise unknown(f"metric of {records[0]['config']}", metric, records[0]["result"]["metrics"])
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        bands[metric] = Band(statistics.fmean(values), deviation, len(values))
    return bands


def measured_bands(recipe: Recipe | None, records: Sequence[dict[str, Any]]) -> dict[str, Band | None]:
    """What a recipe was measured at, by metric; a band is None where it was not yet run.

    Raises:
        RequestError: as `metrics_of` and `bands_of` do.
    """
    metrics = metrics_of(recipe, records)
    return bands_of(records, metrics) if records else dict.fromkeys(metrics)


def median_seconds(records: Sequence[dict[str, Any]]) -> float:
    """How long a run takes: the median of what the runs measured of themselves.

    A run begins with its data, when TensorFlow is imported, and ends when all but its result is written.
    """
    return statistics.median(record["result"]["wall_seconds"] for record in records)


def compare(measured: Band, band: Band, least: float) -> tuple[bool, str]:
    """Whether what was measured is what the band says.

    The means may differ by what Student's t test of two samples of equal spread allows: t(0.995) times the pooled
    deviation times sqrt(1/n + 1/m), with n + m - 2 degrees of freedom. That is 2.1 deviations for five seeds against
    five, 5.0 for one against five. The spreads may differ by what the F test allows, in both directions: 4.8 times for
    five against five. One seed has no spread, and only its value is looked at.

    A deviation is never taken to be smaller than the worth of one example. So five seeds that all reach the same value
    pass here; `zoo.baselines.records.same_states` detects those that ended with the same variables.

    The same seeds on another machine end alike, so the means differ less than those of independent runs would, and the
    test fails by chance less often than once in a hundred comparisons.

    Args:
        measured: what at least one seed gave.
        band: what at least two seeds gave before.
        least: the smallest deviation that is believed, see `worth`.

    Returns:
        Whether it holds, and why in words.
    """
    # Only the quantiles; scipy.stats would take a second to import.
    from scipy import special

    freedoms = (measured.seeds - 1, band.seeds - 1)
    deviations = (max(measured.deviation, least), max(band.deviation, least))
    pooled = math.sqrt(
        sum(freedom * deviation**2 for freedom, deviation in zip(freedoms, deviations, strict=True)) / sum(freedoms)
    )
    error = pooled * math.sqrt(1 / measured.seeds + 1 / band.seeds)
    apart, allowed = abs(measured.mean - band.mean), special.stdtrit(sum(freedoms), 1 - CHANCE / 2) * error
    holds, words = apart <= allowed, f"mean {apart:.4f} off, at most {allowed:.4f}"
    if measured.seeds > 1:
        (small, few), (large, many) = sorted(zip(deviations, freedoms, strict=True))
        ratio, most = large / small, math.sqrt(special.fdtri(many, few, 1 - CHANCE / 2))
        holds, words = holds and ratio <= most, f"{words}; spread {ratio:.1f} times, at most {most:.1f}"
    return bool(holds), words


def worth(metric: str, eval_examples: int) -> float:
    """How far one answer moves a metric of the evaluation split: an episode for one-shot metrics, else an example."""
    return 1 / (EPISODES if metric.rpartition("/")[2].startswith("one_shot_") else eval_examples)
