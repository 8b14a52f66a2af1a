"""Nets without their weights, each built once for all the tests of this folder.

Shapes, counts and settings are all that most tests ask of a net, and they cost a tenth of what its weights cost.
"""

import functools

import keras

import zoo
from zoo.analysis.nets import graph


@functools.cache
def build(name: str, **arguments) -> keras.Model:
    """As `zoo.build_model`, of arguments that can be hashed; a test must change nothing on what it gets."""
    with graph.without_weights():
        return zoo.build_model(name, **arguments)
