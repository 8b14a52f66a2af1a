"""Checks of what a builder is called with: each refuses a wrong value in one line that says what is allowed."""

import numbers
from typing import Any

from zoo.errors import RequestError


def check_image_shape(
    name: str, input_shape: tuple[int | None, ...], *, smallest: int = 1, open_size: bool = True
) -> None:
    """Raises a `RequestError` unless the shape is that of an image which the net can take.

    Args:
        name: the model, for the message.
        input_shape: what was asked for, without the batch; None for a height or a width that is left open.
        smallest: the least height and width: the net's total stride, so that the last feature map has a pixel of
            its own, or more where convolutions without padding need more.
        open_size: whether height and width may be left open: not where the net's weights depend on them.
    """
    if len(input_shape) != 3:
        raise RequestError(f"input_shape of {name} is {input_shape}; it must be an image's: (height, width, channels)")
    sides = [side for side in input_shape[:2] if side is not None]
    if len(sides) < 2 and not open_size:
        raise RequestError(
            f"input_shape of {name} is {input_shape}; its weights depend on height and width: give both as numbers"
        )
    if min(sides, default=smallest) < smallest:
        raise RequestError(f"input_shape of {name} is {input_shape}; height and width must be at least {smallest}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raises a `RequestError` unless a hyperparameter has one of the values it may have."""
    if value not in choices:
        raise RequestError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}")


def check_value(holds: bool, name: str, value: Any, allowed: str) -> None:
    """Raises a `RequestError` unless what a hyperparameter must fulfil holds; `allowed` ends the message."""
    if not holds:
        raise RequestError(f"{name} is {value!r}; {allowed}")


def check_whole_numbers(name: str, values: Any, *, least: int) -> None:
    """Raises a `RequestError` unless a hyperparameter is a list of whole numbers, and none of them too small."""
    is_list = isinstance(values, list | tuple)
    holds = is_list and all(type(value) is int and value >= least for value in values)
    check_value(holds, name, values, f"it must be a list of whole numbers, each at least {least}")


def check_whole_number(name: str, value: Any, *, least: int) -> None:
    """Raises a `RequestError` unless a hyperparameter is a whole number, and not too small."""
    check_value(type(value) is int and value >= least, name, value, f"it must be a whole number, at least {least}")


def check_fractions(name: str, **values: Any) -> None:
    """Raises a `RequestError` unless hyperparameters are fractions, numbers from 0 up to but not including 1.

    Args:
        name: the model, for the message.
        **values: the hyperparameters by their names, such as `dropout=0.5`.
    """
    for key, value in values.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        is_fraction = is_number and 0 <= value < 1
        check_value(is_fraction, f"{key} of {name}", value, "it must be a fraction: at least 0, less than 1")
