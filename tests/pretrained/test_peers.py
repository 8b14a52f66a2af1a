"""Nets of other publishers give the same outputs here, with their weights loaded by name.

Where torch, torchvision and timm are in another Python, `ZOO_PEER_PYTHON` names it.
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

PEER_PYTHON = os.environ.get("ZOO_PEER_PYTHON", sys.executable)
# Both sides compute in float32, in another order of sums.
TOLERANCE = 1e-5


@functools.cache
def lacking() -> str:
    """What the peers' Python has not got, as a reason to skip; empty where it has all."""
    code = "import importlib.util as u; print(*(n for n in ('torch', 'torchvision', 'timm') if not u.find_spec(n)))"
    done = subprocess.run([PEER_PYTHON, "-c", code], capture_output=True, text=True)
    missing = done.stdout.strip() or ("" if done.returncode == 0 else "all")
    return missing and f"{PEER_PYTHON} lacks {missing}; ZOO_PEER_PYTHON may name another one"


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


@pytest.mark.slow
@pytest.mark.parametrize("net", publishers.NETS, ids=lambda net: net.label)
def test_outputs_are_the_publishers(net, tmp_path):
    images, expected, weights = of_keras(net) if net.publisher == "keras" else of_torch(net, tmp_path)
    table = published_names(net.model)[net.table]
    arguments = dict(table.arguments) | ({"aux_heads": True} if net.aux_heads else {})
    ours = zoo.build_model(net.model, (*net.size, 3), **arguments)
    pair(ours, table, weights).assign()
    fed = images[..., ::-1] if table.reversed_channels else images  # red first, as everywhere in the zoo
    outputs = ours(np.ascontiguousarray(fed), training=False)
    outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
    assert set(outputs) == set(expected)
    for name, logits in expected.items():
        largest = np.abs(logits).max()
        difference = float(np.abs(np.asarray(outputs[name]) - logits).max() / largest)
        print(f"{net.label} {name}: {difference:.1e} of the largest")  # shown by -rP
        # The images must matter: outputs that hang on the biases alone would agree whatever comes before.
        assert np.abs(logits[0] - logits[1]).max() > 1000 * TOLERANCE * largest
        assert difference <= TOLERANCE, f"{name} differs by {difference:.1e} of the largest"
