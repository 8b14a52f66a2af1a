"""What several seeds gave, and the rule by which what is measured now holds against it."""

import dataclasses
import math
import statistics
from typing import Any

from zoo.config import EPISODES
from zoo.errors import unknown

# Of a hundred comparisons in which nothing has changed, one fails by chance; one of mean and one of spread.
CHANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Band:
    """What several seeds gave.

    Attributes:
        mean: of the metric's last value.
        deviation: standard deviation of a sample (n - 1); 0 of a single seed, which has none.
        seeds: how many, from 0 on.
    """

    mean: float
    deviation: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" +- {self.deviation:.4f}" if self.seeds > 1 else "") + f" ({self.seeds})"


def bands_of(records: list[dict[str, Any]], metrics: list[str]) -> dict[str, Band]:
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


def compare(measured: Band, band: Band, least: float) -> tuple[bool, str]:
    """Whether what was measured is what the band says.

    The means may differ by what Student's t test of two samples of equal spread allows: t(0.995) times the pooled
    deviation times sqrt(1/n + 1/m), with n + m - 2 degrees of freedom. That is 2.1 deviations for five seeds against
    five, 5.0 for one against five. The spreads may differ by what the F test allows, in both directions: 4.8 times for
    five against five. One seed has no spread, and only its value is looked at.

    No deviation counts as smaller than what one example is worth, so a band of a few examples' spread is never left
    downwards: five seeds that all give the same pass here. Whether they are one run under several names is told by
    their digests, see `Outcome`.

    The same seeds on another machine give runs that are alike, so that the means differ less than the test expects:
    it fails less often by chance than its one in a hundred.

    Args:
        measured: of at least one seed.
        band: of at least two.
        least: no deviation is taken to be smaller; see `worth`.

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
    """What one answer is worth in a metric of the evaluation split: an example, or of one-shot accuracy an episode."""
    return 1 / (EPISODES if metric.rpartition("/")[2].startswith("one_shot_") else eval_examples)
