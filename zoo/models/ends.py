"""How the nets end: features at each stride, pooled features, or logits; the same for all families."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras


def classifier(x, num_classes: int, *, dropout: float = 0.0, initializer="glorot_uniform"):
    """Global average pooling, dropout, logits.

    Args:
        x: the last feature map, `(batch, height, width, channels)`.
        num_classes: logits `(batch, num_classes)`, in float32 under every precision; 0 ends after the
            pooling, `(batch, channels)`.
        dropout: fraction of the pooled features dropped.
        initializer: of the dense layer's kernel.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if not num_classes:
        return x
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype="float32", name="logits")(x)


def stage_features(image: Any, stages: Mapping[int, Any], name: str) -> keras.Model:
    """The model that `features=True` asks for: what detectors and segmenters build on.

    Args:
        image: the net's input.
        stages: stride -> the last feature map `(batch, height, width, channels)` of that stride.
        name: of the model.

    Returns:
        A model whose outputs are a dictionary, `stride2`, `stride4`, ... for those strides that the net has.
    """
    return keras.Model(image, {f"stride{stride}": x for stride, x in stages.items() if stride > 1}, name=name)


def sequential_features(layers: Sequence[Any], stages: Mapping[int, keras.layers.Layer], name: str) -> keras.Model:
    """The same for a Sequential, cut from it: `stages` has the layer that ends each stride."""
    net = keras.Sequential(layers, name=name)
    return stage_features(net.inputs[0], {stride: layer.output for stride, layer in stages.items()}, name)
