"""Nets without their weights, each built once for all the tests of this folder.

Shapes, counts and settings are all that most tests ask of a net, and they cost a tenth of what its weights cost.
"""

import functools

import keras
import pytest

import zoo
from zoo.analysis.nets import graph

INFOS = {name: zoo.model_info(name) for name in zoo.list_models()}
# The smallest of each family; the others are the same code with other numbers.
ONE_OF_EACH = {
    min((info.parameters, name) for name, info in INFOS.items() if info.family == family)[1]
    for family in {info.family for info in INFOS.values()}
}


def slow_unless(names, quick):
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


@functools.cache
def build(name: str, **arguments) -> keras.Model:
    """As `zoo.build_model`, of arguments that can be hashed; a test must change nothing on what it gets."""
    with graph.without_weights():
        return zoo.build_model(name, **arguments)
