"""Nets of other publishers give the same outputs here, with their weights loaded by name.

Where torch, torchvision and timm are in another Python, `PEER_PYTHON` names it.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import parity
import publishers
import pytest

import zoo
from zoo.pretrained.loading import pair, published_names

PEER_PYTHON = os.environ.get("PEER_PYTHON", sys.executable)
# Both sides compute in float32, in another order of sums.
TOLERANCE = 1e-5


@functools.cache
def lacking() -> str:
    """What the peers' Python has not got, as a reason to skip; empty where it has all."""
    code = "import importlib.util as u; print(*(n for n in ('torch', 'torchvision', 'timm') if not u.find_spec(n)))"
    done = subprocess.run([PEER_PYTHON, "-c", code], capture_output=True, text=True)
    missing = done.stdout.strip() or ("" if done.returncode == 0 else "all")
    return missing and f"{PEER_PYTHON} lacks {missing}; PEER_PYTHON may name another one"


def of_torch(net, folder):
    """Images, outputs by name, and weights by name of a random stand-in for a checkpoint of torchvision or timm."""
    if lacking():
        pytest.skip(lacking())
    file = folder / "stand_in.npz"
    request = {"publisher": net.publisher, "net": net.name, "size": net.size, "aux_heads": net.aux_heads}
    script = Path(__file__).with_name("publishers.py")
    subprocess.run([PEER_PYTHON, script, json.dumps(request), file], check=True)
    with np.load(file) as stored:
        found = {kind: {} for kind in ("images", "weights", "outputs")}
        for name in stored.files:
            kind, _, rest = name.partition("/")
            found[kind][rest] = stored[name]
    file.unlink()
    return found["images"][""], found["outputs"], found["weights"]


def of_keras(net):
    """The same of a net of keras.applications."""
    theirs = getattr(keras.applications, net.name)(weights=None, input_shape=(*net.size, 3), classifier_activation=None)
    parity.randomise(theirs)
    images = np.random.default_rng(1).standard_normal((2, *net.size, 3)).astype("float32")
    weights = {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in parity.layers_with_weights(theirs)
        for variable in layer.weights
    }
    return images, {"logits": np.asarray(theirs(images, training=False))}, weights


def made_here(net, table, arguments, images, weights):
    """The outputs of the zoo's net, by name."""
    heads = {"aux_heads": True} if net.aux_heads else {}
    ours = zoo.build_model(net.model, (*net.size, 3), **arguments, **heads)
    pair(ours, table, weights).assign()
    fed = images[..., ::-1] if table.reversed_channels else images  # red first, as everywhere in the zoo
    outputs = ours(np.ascontiguousarray(fed), training=False)
    return outputs if isinstance(outputs, dict) else {"logits": outputs}


def differences(found, expected):
    """The largest of each output, as a fraction of the largest number in it."""
    assert set(found) == set(expected)
    return {name: np.abs(np.asarray(found[name]) - x).max() / np.abs(x).max() for name, x in expected.items()}


@pytest.mark.slow
@pytest.mark.parametrize("net", publishers.NETS, ids=lambda net: net.label)
def test_outputs_are_the_publishers(net, tmp_path):
    images, expected, weights = of_keras(net) if net.publisher == "keras" else of_torch(net, tmp_path)
    for x in expected.values():
        # The images must matter: outputs that hang on the biases alone would agree whatever comes before.
        assert np.abs(x[0] - x[1]).max() > 500 * TOLERANCE * np.abs(x).max()
    table = published_names(net.model)[net.table]
    found = differences(made_here(net, table, table.arguments, images, weights), expected)
    print(net.label, *(f"{name} {difference:.1e}" for name, difference in found.items()))  # -rP shows it
    assert max(found.values()) <= TOLERANCE, found


# The smallest net of each table that has arguments, with its heads if it has any.
ARGUMENTS = [
    *("torchvision-googlenet-aux", "torchvision-inception_v3", "timm-resnetv2_50", "timm-legacy_seresnet50"),
    *("timm-legacy_xception", "keras-ResNet50", "keras-ResNet50V2", "keras-InceptionV3", "keras-InceptionResNetV2"),
]


@pytest.mark.slow
@pytest.mark.parametrize("net", [n for n in publishers.NETS if n.label in ARGUMENTS], ids=lambda net: net.label)
def test_every_argument_of_a_table_is_needed(net, tmp_path):
    images, expected, weights = of_keras(net) if net.publisher == "keras" else of_torch(net, tmp_path)
    table = published_names(net.model)[net.table]
    assert table.arguments
    for left_out in table.arguments:
        others = {key: value for key, value in table.arguments.items() if key != left_out}
        try:
            found = differences(made_here(net, table, others, images, weights), expected)
        except zoo.RequestError:
            continue  # without it the weights do not fit
        print(net.label, "without", left_out, *(f"{name} {difference:.1e}" for name, difference in found.items()))
        assert max(found.values()) > 10 * TOLERANCE


def test_every_table_with_arguments_has_a_net_for_them():
    asked = {(n.model, n.table) for n in publishers.NETS if n.label in ARGUMENTS}
    tables = [table for model, key in asked for name, table in published_names(model).items() if name == key]
    for net in publishers.NETS:
        table = published_names(net.model)[net.table]
        assert not table.arguments or table.rules in [other.rules for other in tables], net
