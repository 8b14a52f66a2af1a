"""Fields that are small languages: schedules, labels with weights, layers to freeze, hyperparameters."""

import json
import math
import re
from typing import Any

from zoo.errors import RequestError, unknown

# What `freeze` calls all but the classifier.
TRUNK = "trunk"
SCHEDULES = ("constant", "cosine", "linear", "step")


def parse_schedule(text: str) -> tuple[str, tuple[float, ...], float]:
    """Reads a schedule.

    Returns:
        Its name, for `step` the epochs at which the rate falls and the factor by which (0.1 unless given).

    Raises:
        RequestError: the text is no schedule.
    """
    name, *rest = text.split(":")
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if name != "step":
        if rest:
            raise RequestError(f"schedule is {text!r}; {name} takes no numbers")
        return name, (), 1.0
    try:
        epochs = tuple(float(epoch) for epoch in rest[0].split(","))
        factor = float(rest[1]) if len(rest) > 1 else 0.1
    except (ValueError, IndexError):
        epochs, factor = (), 0.0
    if len(rest) > 2 or not epochs or list(epochs) != sorted(set(epochs)) or epochs[0] <= 0 or not 0 < factor < 1:
        raise RequestError(
            f"schedule is {text!r}; step needs rising epochs and may have a factor below 1, as step:60,80:0.2"
        )
    return name, epochs, factor


def parse_labels(text: str) -> dict[str, float]:
    """Reads `fine:1,coarse:0.5` as weights by name; a label without a number weighs 1.

    Raises:
        RequestError: the text is no list of labels, or a weight is none.
    """
    result: dict[str, float] = {}
    for part in text.split(",") if text.strip() else ():
        name, colon, weight = part.strip().partition(":")
        try:
            value = float(weight) if colon else 1.0
        except ValueError:
            value = -1.0
        if not name or name in result or not 0 < value < math.inf:
            raise RequestError(f"labels is {text!r}; write different labels with weights above 0, as fine:1,coarse:0.5")
        result[name] = value
    return result


def parse_freeze(text: str) -> tuple[str, ...]:
    """Reads what is not trained: `trunk`, or shell-style patterns of layer names as in `stem*,stage1_*`.

    Raises:
        RequestError: a pattern is empty, or there are others beside `trunk`.
    """
    patterns = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    if "" in patterns:
        raise RequestError(f"freeze is {text!r}, in which a pattern is empty; write {TRUNK}, or stem*,stage1_*")
    if TRUNK in patterns and len(patterns) > 1:
        raise RequestError(f"freeze is {text!r}; {TRUNK} is all but the classifier, give it alone or leave it out")
    return patterns


def image_folder(dataset: str) -> str | None:
    """PATH of a dataset `folder:PATH`; None where the dataset is no folder."""
    kind, _, path = dataset.partition(":")
    return path if kind == "folder" else None


def parse_model_args(text: str) -> dict[str, Any]:
    """Reads hyperparameters from a flag: a JSON object, or `key=value,...` with JSON or bare words as values."""
    try:
        if text.lstrip().startswith("{"):
            return json.loads(text)
    except ValueError as error:
        raise RequestError(f"model_args is {text!r}, which is not JSON: {error}") from error
    result = {}
    for part in re.split(r",(?=\s*\w+\s*=)", text) if text.strip() else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise RequestError(f"model_args is {text!r}; it must be a JSON object or key=value,...")
        try:
            result[key.strip()] = json.loads(value)
        except ValueError:
            # Python's own words for what JSON writes in small letters.
            result[key.strip()] = {"True": True, "False": False, "None": None}.get(value.strip(), value.strip())
    return result
