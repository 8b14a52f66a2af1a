"""What every model is built with, as the registry checks it; `zoo.models.arguments` checks what a family takes."""

from typing import Any

from zoo.errors import RequestError


def plain(value: Any) -> Any:
    """The same in Python's own numbers and lists, in place of NumPy's."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value.tolist() if hasattr(value, "tolist") else value


def checked_shape(input_shape: Any) -> tuple[int | None, ...]:
    """The shape of one example as a tuple, None where a size is left open.

    Raises:
        RequestError: it is no shape.
    """
    try:
        shape = () if isinstance(input_shape, str) else tuple(map(plain, input_shape))
    except (TypeError, ValueError):  # nothing that has parts, or a TensorShape of unknown rank
        shape = ()
    known = [size for size in shape if size is not None]
    # The channels decide the shapes of weights.
    if not shape or shape[-1] is None or not all(type(size) is int and size > 0 for size in known):
        raise RequestError(
            f"input_shape is {input_shape!r}; it must be positive whole numbers without the batch, such as (32, 32, 3)"
        )
    return shape


def checked_classes(name: str, default: int | None, num_classes: Any) -> int:
    """The number of classes.

    Args:
        name: of the model.
        default: its own number; None where it sorts into no classes.
        num_classes: what was asked for.

    Raises:
        RequestError: the model cannot have so many.
    """
    num_classes = plain(num_classes)
    if default is None and num_classes != 0:
        raise RequestError(f"num_classes is {num_classes!r}; {name} sorts into no classes: leave it out, or give 0")
    if type(num_classes) is not int or num_classes < 0:
        raise RequestError(f"num_classes is {num_classes!r}; it must be a whole number, 0 or at least 2")
    if num_classes == 1:
        raise RequestError("num_classes is 1; it must be 0, or at least 2: a single class leaves nothing to decide")
    return num_classes
