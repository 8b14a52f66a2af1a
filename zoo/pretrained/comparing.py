"""Holds published weights in a net of the zoo against the publisher's own net with the same file."""

import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo import frameworks, registry
from zoo.errors import RequestError, RunError
from zoo.pretrained import files, loading
from zoo.pretrained.catalog import Entry
from zoo.pretrained.downloading import local_file
from zoo.pretrained.peers import keras_peer

# A layer is named where it first differs by more, as a share of its largest output.
NAMED_FROM = 1e-4
_TORCH_PEER = Path(__file__).parent / "peers" / "torch_peer.py"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far two nets with the same weights differ.

    Attributes:
        arrays: how many were loaded.
        largest: the largest difference of logits over the largest logit.
        first: the first layer that differs by more than `NAMED_FROM`, its name at the publisher's, and by how much;
            None where none does.
        layers: how many layers were held against each other.
    """

    arrays: int
    largest: float
    first: tuple[str, str, float] | None
    layers: int


def compare(
    entry: Entry,
    peer_python: str,
    *,
    random: bool = False,
    images: int = 2,
    image_size: int = 0,
) -> Comparison:
    """Loads an entry's file into the zoo's net and into the publisher's, and holds their outputs against each other.

    Args:
        entry: of the catalog.
        peer_python: a Python that has the publisher's package; `keras.applications` is in this one.
        random: take weights that the publisher's net has drawn in place of the published file.
        images: how many random ones.
        image_size: their side; 0: that of the entry.

    Raises:
        RequestError: the file is not there, or does not fit.
        RunError: the publisher's net did not run.
    """
    publisher, _, name = entry.name.partition("/")
    side = image_size or entry.preprocessing.image_size
    with tempfile.TemporaryDirectory() as folder:
        suffix = ".h5" if publisher == "keras" else ".pth" if publisher == "torchvision" else ".safetensors"
        weights = Path(folder, f"weights{suffix}") if random else local_file(entry)
        levels = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), np.uint8)
        np.save(Path(folder, "levels.npy"), levels)
        request = {
            "publisher": publisher,
            "name": entry.model if publisher == "keras" else name,
            "weights": str(weights),
            "random": random,
            "levels": str(Path(folder, "levels.npy")),
            "modules": [],
            "outputs": str(Path(folder, "outputs.npz")),
        }
        if random:
            # The file is needed before it is known which layers there are.
            _run(request, peer_python)
        model, pairing = _loaded(entry, weights, side)
        _run({**request, "random": False, "modules": sorted({*pairing.layers.values()})}, peer_python)
        with np.load(request["outputs"]) as theirs:
            return _held(model, pairing, entry.preprocessing.normalization()(levels), dict(theirs))


def _loaded(entry: Entry, weights: Path, side: int) -> tuple[keras.Model, loading.Pairing]:
    published = loading.published_names(entry.model)[entry.names]
    arguments = {**published.arguments, **entry.arguments}
    model = registry.build_model(entry.model, (side, side, 3), entry.num_classes, **arguments)
    pairing = loading.pair(model, published, files.read_weights(weights).arrays)
    pairing.assign()
    return model, pairing


def _run(request: dict[str, Any], peer_python: str) -> None:
    """Has the publisher's net write its outputs."""
    if request["publisher"] == "keras":
        # Layers that have no name of their own are called as in the file.
        with frameworks.fresh_names():
            keras_peer.run(request)
        return
    path = Path(request["outputs"]).with_name("request.json")
    path.write_text(json.dumps(request))
    # Its own packages alone, whatever this Python has been told of others.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [peer_python, str(_TORCH_PEER), str(path)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except OSError as error:
        raise RequestError(f"--peer_python is {peer_python!r}, which cannot be run: {error.strerror}") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        if reason.startswith("ModuleNotFoundError"):
            raise RequestError(
                f"{peer_python} lacks the publisher's package ({reason.partition(': ')[2]}); name a Python that has it "
                "by --peer_python"
            )
        raise RunError(f"the publisher's {request['name']} did not run: {reason}")


def _held(model: keras.Model, pairing: loading.Pairing, images: Any, theirs: dict[str, np.ndarray]) -> Comparison:
    """The zoo's outputs against the publisher's."""
    layers = {name: model.get_layer(name) for name in pairing.layers if f"module/{pairing.layers[name]}" in theirs}
    both = keras.Model(
        model.inputs[0], {"logits": model.outputs[0], "layers": {name: x.output for name, x in layers.items()}}
    )
    ours = both(images, training=False)
    first = None
    for name, layer in layers.items():
        # Some layers of the zoo have their activation inside, which is a module of its own in PyTorch.
        activation = getattr(layer, "activation", None) or (lambda x: x)
        reference = np.asarray(activation(theirs[f"module/{pairing.layers[name]}"]))
        difference = _difference(np.asarray(ours["layers"][name]), reference)
        if not difference <= NAMED_FROM:
            first = name, pairing.layers[name], difference
            break
    return Comparison(
        len(pairing.values), _difference(np.asarray(ours["logits"]), theirs["logits"]), first, len(layers)
    )


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference over the largest value; NaN where either has one."""
    theirs = theirs.reshape(ours.shape)
    largest = np.abs(ours.astype(np.float64) - theirs).max()
    # Two outputs of zeros, as those of a dead layer, are the same.
    return float(largest / np.abs(theirs).max()) if largest else 0.0
