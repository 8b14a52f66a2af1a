"""How far rounding may carry a sum: bounds that hold on every processor, whatever the order in which it adds.

Higham 2002, Accuracy and stability of numerical algorithms, section 3.1: a sum of n products, computed in any order and
with or without fused multiply-add, is off by at most n u / (1 - n u) times the sum of the absolute values, where u is
half the distance from 1 to the next number.
"""

import numpy as np

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# Below its least normal number float16 has steps of 2**-24. The others begin so low that nothing here comes near.
_LEAST = {"float16": 2.0**-25}


def of_a_sum(count: int, dtype: str = "float32") -> float:
    """The bound for `count` products, as a share of the sum of their absolute values."""
    return count * UNIT[dtype] / (1 - count * UNIT[dtype])


def of_a_softmax(count: int, largest: float) -> float:
    """The bound on the probabilities of `count` float32 logits of at most `largest` in size, as a share of each.

    The largest is taken away from each, which rounds by their size; `exp` makes a relative error of that and is itself
    exact to four units; then there are a sum and a division.
    """
    return of_a_sum(count + 10) + 4 * largest * UNIT["float32"]


def of_a_cast(exact, bound, dtype: str):
    """The bound on a result after it is rounded to `dtype`, where `bound` held before."""
    return bound + (np.abs(exact) + bound) * UNIT[dtype] + _LEAST.get(dtype, 0.0)


def assert_within(actual, exact, bound) -> None:
    """Holds a result against one in float64, each element by its own bound."""
    actual, exact, bound = np.broadcast_arrays(*(np.asarray(x, "float64") for x in (actual, exact, bound)))
    off = np.abs(actual - exact)
    # Written so that NaN fails.
    wrong = ~(off <= bound)
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} are off, by up to {(off / bound)[wrong].max()} bounds"
