"""A recipe on digits written in plain Keras: what somebody who does not use the zoo's training would write.

Scikit-learn's images, a `tf.data` pipeline that crops image by image, Keras' own layers, losses, regularisers and
schedules, `compile` and `fit`. Of the zoo there is the architecture, with Keras' layers in place of the zoo's, and the
numbers of the recipe.
"""

import dataclasses
import re

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import zoo
from benchmarks.works import RUN_FIELDS
from zoo.config import ExperimentConfig
from zoo.errors import RequestError

CLASSES = 10
TRAIN_EXAMPLES = 1437
# The fields that are written in plain Keras here.
WRITTEN_FIELDS = (
    *("model", "model_args", "dataset", "image_size", "augment", "batch_size", "epochs"),
    *("optimizer", "learning_rate", "momentum", "schedule", "warmup_epochs", "l2"),
)
Split = tuple[np.ndarray, np.ndarray]


def check_known(config: ExperimentConfig) -> None:
    """Refuses a recipe of which something would be left out here.

    Raises:
        ValueError: a field has a value that is not written in plain Keras.
    """
    defaults = ExperimentConfig()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in WRITTEN_FIELDS + RUN_FIELDS and value != getattr(defaults, field.name):
            raise RequestError(f"{field.name} is {value!r}, for which there is no plain Keras here; leave it out")
    for name, known in (("dataset", ("digits",)), ("optimizer", ("adam", "sgd")), ("schedule", ("cosine",))):
        if getattr(config, name) not in known:
            raise RequestError(f"{name} is {getattr(config, name)!r}; there is plain Keras for {' and '.join(known)}")
    crop_padding(config)


def crop_padding(config: ExperimentConfig) -> int:
    """Pixels of the padding that random crops are taken from; 0: none.

    Raises:
        ValueError: the recipe augments in another way.
    """
    match = re.fullmatch(r"(?:pad_crop:(\d+))?", config.augment)
    if match is None:
        raise RequestError(f"augment is {config.augment!r}; there is plain Keras for pad_crop:PIXELS alone")
    return int(match[1] or 0)


def digits(image_size: int) -> tuple[Split, Split]:
    """Training and test split: images uint8 (n, size, size, 1) from 0 to 255, labels int64 (n,).

    Args:
        image_size: height and width; 0: 8, as they are.
    """
    data = load_digits()
    images = np.round(data.images[..., None] * (255 / 16))
    if image_size:
        # Halves go up, as in the zoo; NumPy's own rounding takes them to the even neighbour.
        images = np.floor(tf.image.resize(images, (image_size, image_size)).numpy() + 0.5)
    images = images.astype(np.uint8)
    parts = slice(None, TRAIN_EXAMPLES), slice(TRAIN_EXAMPLES, None)
    train, test = ((images[part], data.target[part]) for part in parts)
    return train, test


class Standardize:
    """Pixels to mean 0 and standard deviation 1 over a split.

    Args:
        images: uint8 (n, height, width, 1), of the training split.
    """

    def __init__(self, images: np.ndarray):
        self._mean, self._deviation = images.mean(), images.std()

    def __call__(self, images):
        """Images uint8 to float32 of the same shape; a NumPy array or a tensor."""
        return (tf.cast(images, tf.float32) - self._mean) / self._deviation


def training_data(split: Split, config: ExperimentConfig) -> tf.data.Dataset:
    """Shuffled batches of cropped images, uint8, and labels; what fills no batch is left out of the epoch."""
    padding = crop_padding(config)
    random = tf.random.Generator.from_seed(config.seed)

    def crop(image, label):
        padded = tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])
        return tf.image.stateless_random_crop(padded, image.shape, random.make_seeds()[:, 0]), label

    data = tf.data.Dataset.from_tensor_slices(split).shuffle(len(split[0]), seed=config.seed)
    if padding:
        data = data.map(crop)
    return data.batch(config.batch_size, drop_remainder=True)


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule after a linear rise to its first value.

    Args:
        steps: of the rise; the last of them has the full rate.
        then: the schedule, whose step 0 is the first after the rise.
    """

    def __init__(self, steps: float, then: keras.optimizers.schedules.LearningRateSchedule):
        self.steps, self.then = steps, then

    def __call__(self, step):
        """The rate of the update that follows `step` updates."""
        step = tf.cast(step, tf.float32)
        return tf.minimum((step + 1) / self.steps, 1.0) * self.then(tf.maximum(step - self.steps, 0.0))


def learning_rate(config: ExperimentConfig, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The recipe's rate: a cosine to 0, after the warm-up where there is one."""
    warmup_steps = config.warmup_epochs * steps_per_epoch
    cosine = keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.epochs * steps_per_epoch - warmup_steps
    )
    return WarmUp(warmup_steps, cosine) if warmup_steps else cosine


def make_model(config: ExperimentConfig, image_shape: tuple[int, ...]) -> keras.Model:
    """The recipe's net of Keras' own layers, with its optimizer, loss and metric.

    Args:
        config: the recipe.
        image_shape: height, width, channels.
    """

    def plain(layer):
        kind = keras.layers.BatchNormalization if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
        arguments = layer.get_config()
        if config.l2 and "kernel_regularizer" in arguments:
            # The recipe's l2 * w is what is added to the gradient; Keras' L2(c) is c * w ** 2, whose gradient is 2 c w.
            arguments["kernel_regularizer"] = keras.regularizers.L2(config.l2 / 2)
        return kind.from_config(arguments)

    built = zoo.build_model(config.model, image_shape, CLASSES, **config.model_args)
    model = keras.models.clone_model(built, clone_function=plain)
    rate = learning_rate(config, TRAIN_EXAMPLES // config.batch_size)
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=config.momentum)
    else:
        optimizer = keras.optimizers.Adam(rate)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model


def accuracy(config: ExperimentConfig) -> float:
    """Trains by `fit` and returns the accuracy on the test split after the last epoch."""
    check_known(config)
    keras.utils.set_random_seed(config.seed)
    train, (test_images, test_labels) = digits(config.image_size)
    standardize = Standardize(train[0])
    data = training_data(train, config).map(lambda images, labels: (standardize(images), labels))
    model = make_model(config, train[0].shape[1:])
    model.fit(data.prefetch(tf.data.AUTOTUNE), epochs=config.epochs, shuffle=False, verbose=0)
    result = model.evaluate(standardize(test_images), test_labels, verbose=0, return_dict=True)
    return result["accuracy"]
