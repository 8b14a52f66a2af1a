"""What a run must remember beside its variables."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass
class Progress:
    """Saved with every checkpoint; one of an older version may lack what has a default.

    Attributes:
        wall_seconds: from start to end, all parts of the run together.
        train_seconds: of that, in training blocks and waiting for their input.
        timed_steps, timed_seconds: of the blocks that did not have to be compiled first.
        logged_step, logged_seconds: of the last training row, and train_seconds at that time.
        sums: of loss and metrics over the steps since then.
        metrics: the last value of everything that was measured, by `<split>/<name>`.
        best: by metric its best `value`, the `step` of that, and how many `evaluations_since` were not better.
        evaluation_due: the evaluation after this step is still to be made, since a signal came before its end.
    """

    wall_seconds: float = 0.0
    train_seconds: float = 0.0
    timed_steps: int = 0
    timed_seconds: float = 0.0
    logged_step: int = 0
    logged_seconds: float = 0.0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    best: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    evaluation_due: bool = False

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Progress":
        """What a checkpoint holds of it.

        Raises:
            ValueError: it holds what this version does not know, which another version must have written.
        """
        unknown = sorted(saved.keys() - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"another version of zoo wrote its progress, with {unknown[0]!r} in it")
        return cls(**saved)

    def note(self, metric: str, value: float, step: int) -> None:
        """Takes in the value of a metric of `best` after an evaluation."""
        best = self.best.get(metric)
        if best is None or is_better(metric, value, best["value"]):
            self.best[metric] = {"value": value, "step": step, "evaluations_since": 0}
        else:
            best["evaluations_since"] += 1


def is_better(metric: str, value: float, than: float) -> bool:
    """Whether a metric's value is better: of losses and errors the lower one, of all others the higher.

    Any number is better than NaN, which is better than nothing.
    """
    if math.isnan(than):
        return not math.isnan(value)
    return value < than if metric.endswith(("loss", "error")) else value > than
