"""Runs a net of `keras.applications`, in this Python; what a request is, `torch_peer.py` says."""

from typing import Any

import keras
import numpy as np

# The zoo's net -> the publisher's class, and the module that has what its images go through.
CLASSES = {
    "resnet50_v1": ("ResNet50", "resnet"),
    "resnet101_v1": ("ResNet101", "resnet"),
    "resnet152_v1": ("ResNet152", "resnet"),
    "resnet50_v2": ("ResNet50V2", "resnet_v2"),
    "resnet101_v2": ("ResNet101V2", "resnet_v2"),
    "resnet152_v2": ("ResNet152V2", "resnet_v2"),
    "densenet121": ("DenseNet121", "densenet"),
    "densenet169": ("DenseNet169", "densenet"),
    "densenet201": ("DenseNet201", "densenet"),
    "vgg16": ("VGG16", "vgg16"),
    "vgg19": ("VGG19", "vgg19"),
    "inception_v3": ("InceptionV3", "inception_v3"),
    "inception_resnet_v2": ("InceptionResNetV2", "inception_resnet_v2"),
    "xception": ("Xception", "xception"),
}


def randomise(net: keras.Model) -> None:
    """Draws weights of which each counts: kernels by He's rule, scales and variances near 1, the rest near 0."""
    generator = np.random.default_rng(0)
    for variable in net.variables:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            # A depthwise kernel has its channels in the place of inputs; each takes one.
            inputs = shape[:2] if variable.name == "depthwise_kernel" else shape[:-1]
            spread = ((2 if len(shape) == 4 and shape[0] * shape[1] > 1 else 1) / np.prod(inputs)) ** 0.5
            variable.assign(generator.standard_normal(shape, np.float32) * spread)
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(0.8 + 0.4 * generator.random(shape, np.float32))
        else:
            variable.assign(0.1 * generator.standard_normal(shape, np.float32))


def write_weights(net: keras.Model, path: str) -> None:
    """Writes the file as Keras 2 did, whose files are the published ones."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, net)


def run(request: dict[str, Any]) -> None:
    """Writes the outputs that are asked for."""
    levels = np.load(request["levels"])
    name, module = CLASSES[request["name"]]
    net = getattr(keras.applications, name)(weights=None, input_shape=levels.shape[1:], classifier_activation=None)
    if request["random"]:
        randomise(net)
        write_weights(net, request["weights"])
    elif request["weights"]:
        net.load_weights(request["weights"])
    layers = {layer.name: layer.output for layer in net.layers if layer.name in request["modules"]}
    both = keras.Model(net.input, {"logits": net.output, **{f"module/{name}": x for name, x in layers.items()}})
    images = getattr(keras.applications, module).preprocess_input(levels.astype("float32"))
    np.savez(request["outputs"], **{key: np.asarray(value) for key, value in both(images, training=False).items()})
