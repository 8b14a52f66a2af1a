"""Stand-ins for checkpoints, by the names and shapes in `names/`, which `make_names.py` wrote."""

import functools
import gzip
import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("names")


@functools.cache
def recorded(publisher):
    """The nets of a publisher: label -> array -> shape."""
    return json.loads(gzip.decompress((FOLDER / f"{publisher}.json.gz").read_bytes()))["nets"]


def shapes_of(net):
    """The arrays in the checkpoint of one of `publishers.NETS`: name -> shape."""
    return {name: tuple(shape) for name, shape in recorded(net.publisher)[net.label].items()}


def empty(shapes):
    """An array for each shape that takes no memory: all its numbers are one and the same."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def random(shapes, seed=0):
    """An array for each shape whose numbers all differ."""
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape, dtype="float32") for name, shape in shapes.items()}
