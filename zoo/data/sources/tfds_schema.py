"""Which features of a TFDS dataset are read, what they are called here, and how stored records become tensors.

The image is an `Image` of 8 or 16 bits or of float32, of any size where it is of 8 or 16 bits, or a plain `Tensor`
(height, width, channels) of uint8, uint16 or float32. Here pixels are uint8:
    of 16 bits the upper 8 are taken, as of a PNG;
    float32 from 0 to 1 is multiplied by 255, float32 from 0 to 255 is taken as it is; both are rounded to the nearest
    level. Which of the two it is say the values of all splits together, see `FLOAT_RANGES`.

A feature within others, as in `{"inputs": {"image": ...}}`, is called by its last name; where several features share
that, by its whole path, `inputs_mask`.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data import images
from zoo.data.sources.example_source import Feature
from zoo.errors import RequestError

# What tf.train.Example stores each element type as; others (float64) are not batched here.
_STORED_AS = {
    **dict.fromkeys(("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"), tf.int64),
    "float32": tf.float32,
    "string": tf.string,
}
_IMAGE_TYPES = ("uint8", "uint16", "float32")
# The least and the largest value that float images may have, and what makes levels from 0 to 255 of them. The first
# range that holds all values counts.
FLOAT_RANGES = ((0.0, 1.0, 255.0), (0.0, 255.0, 1.0))
# Of a Tensor with at most so many rows and more channels, the channels come first.
_MOST_CHANNELS = 4


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """How the image is stored.

    Attributes:
        dtype: uint8, uint16 or float32.
        encoded: in a PNG or JPEG; float32 is the four bytes of each number as the channels of a PNG.
        shape: height, width and channels; None where examples differ.
        scale: what a float32 is multiplied by; 0: it is not known.
    """

    dtype: str
    encoded: bool
    shape: tuple[int | None, ...]
    scale: float = 0.0

    @property
    def is_float(self) -> bool:
        """Whether its levels depend on the range of its values."""
        return self.dtype == "float32"

    @property
    def feature(self) -> Feature:
        """What it is here: 8 and 16 bits stay encoded, so that the pipeline can decode what it crops."""
        return Feature(self.shape, "uint8", encoded=self.encoded and not self.is_float)

    @property
    def spec(self) -> tf.io.FixedLenFeature:
        """How it is parsed."""
        return tf.io.FixedLenFeature((), tf.string) if self.encoded else _spec(self.shape, self.dtype)

    def numbers(self, stored: tf.Tensor) -> tf.Tensor:
        """Of float32: the numbers, (n, height, width, channels)."""
        if not self.encoded:
            return stored
        return tf.bitcast(images.decode(stored, (*self.shape[:2], 4)), tf.float32)[..., None]

    def pixels(self, stored: tf.Tensor) -> tf.Tensor:
        """What was parsed as uint8 (n, height, width, channels), or what stays encoded as it is."""
        if self.is_float:
            return tf.cast(self.numbers(stored) * self.scale + 0.5, tf.uint8)
        if self.encoded:
            return stored
        return tf.cast(tf.bitwise.right_shift(stored, 8) if self.dtype == "uint16" else stored, tf.uint8)


@dataclasses.dataclass(frozen=True)
class Schema:
    """What is read of each example.

    Attributes:
        features: by name, the image as `image`.
        keys: under which each is stored.
        image: how the image is stored.
        default_label: see `ExampleSource`.
        plain: whole numbers and strings, which are class labels once it is known which values there are; the strings
            are no features before that.
        columns: of those that are, the numbers of their classes for the examples of the split, int64 (n,); they are
            not parsed.
    """

    features: dict[str, Feature]
    keys: dict[str, str]
    image: StoredImage
    default_label: str | None
    plain: dict[str, Feature] = dataclasses.field(default_factory=dict)
    columns: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def parsed(self) -> dict[str, Feature]:
        """The features that `parse` gives."""
        return {name: feature for name, feature in self.features.items() if name not in self.columns}

    @tf.autograph.experimental.do_not_convert
    def parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized examples (n,) to features (n, ...), a whole batch at once; encoded images stay so."""
        stored = self._stored(records, self.parsed)
        return {
            name: self.image.pixels(value) if name == "image" else tf.cast(value, self.parsed[name].dtype)
            for name, value in stored.items()
        }

    @tf.autograph.experimental.do_not_convert
    def parse_numbers(self, records: tf.Tensor) -> tf.Tensor:
        """Serialized examples (n,) to the numbers of their float images, (n, height, width, channels)."""
        return self.image.numbers(self._stored(records, ["image"])["image"])

    def only(self, name: str) -> "Schema":
        """The schema of one feature, which may be a string."""
        feature = self.plain.get(name) or self.features[name]
        return dataclasses.replace(self, features={name: feature}, default_label=None, columns={})

    def with_classes(self, name: str, class_names: tuple[str, ...], column: np.ndarray) -> "Schema":
        """The schema in which a plain feature is a class label; `column`: the classes of the split's examples."""
        return dataclasses.replace(
            self,
            features={**self.features, name: Feature((), "int64", class_names)},
            columns={**self.columns, name: column},
        )

    def with_scale(self, scale: float) -> "Schema":
        """The schema that knows what float images are multiplied by."""
        return dataclasses.replace(self, image=dataclasses.replace(self.image, scale=scale))

    def _stored(self, records: tf.Tensor, names: Sequence[str]) -> dict[str, tf.Tensor]:
        specs = {
            self.keys[name]: self.image.spec
            if name == "image"
            else _spec(self.features[name].shape, self.features[name].dtype)
            for name in names
        }
        parsed = tf.io.parse_example(records, specs)
        return {name: parsed[self.keys[name]] for name in names}


def _spec(shape: tuple[int | None, ...], dtype: str) -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature(shape, _STORED_AS[dtype])


def make_schema(name: str, info: Any) -> Schema:
    """What is read of a dataset.

    Args:
        name: of the dataset.
        info: its `DatasetInfo`.

    Raises:
        RequestError: it has no image, or several that it might be, or one that cannot be read.
    """
    import tensorflow_datasets as tfds

    leaves = dict(_leaves(info.features))
    image_key, image = find_image(name, info)
    names = _names(leaves, image_key)
    features, plain = {"image": image.feature}, {}
    for key, called in names.items():
        feature = leaves[key]
        if key == image_key or not _is_stored_plainly(feature):
            continue
        class_names = tuple(feature.names or ()) if isinstance(feature, tfds.features.ClassLabel) else ()
        described = Feature(feature.get_tensor_info().shape, _dtype(feature), class_names)
        if described.dtype != "string":
            features[called] = described
        if not described.shape and described.dtype != "float32" and not class_names:
            plain[called] = described
    keys = {called: key for key, called in names.items()}
    labels = [called for key, called in names.items() if isinstance(leaves[key], tfds.features.ClassLabel)]
    default_label = _default_label(labels, plain, features, keys, names.get(supervised(info)[1]))
    return Schema(features, keys, image, default_label, plain)


def find_image(name: str, info: Any) -> tuple[str, StoredImage]:
    """Under which key the image is stored, and how: `image`, the supervised input, or the first there is.

    An `Image` goes before a `Tensor`, and one of 8 bits before one of 16 and of float32. Of several that are called
    `image`, and of several tensors of which none is, none is guessed.

    Raises:
        RequestError: as in `make_schema`.
    """
    import tensorflow_datasets as tfds

    leaves = dict(_leaves(info.features))
    encoded = [key for key, feature in leaves.items() if isinstance(feature, tfds.features.Image)]
    encoded = [key for key in encoded if _dtype(leaves[key]) in _IMAGE_TYPES]
    keys = encoded or [key for key, feature in leaves.items() if _is_image_tensor(feature)]
    if not keys:
        there = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in leaves.items())
        raise RequestError(f"{name} has no feature that is an image; it has {there}; choose another dataset")
    called_image = [key for key in keys if key == "image"] or [key for key in keys if _last(key) == "image"]
    wanted = called_image or [key for key in keys if key == supervised(info)[0]]
    if not wanted and encoded:
        wanted = [min(keys, key=lambda key: _IMAGE_TYPES.index(_dtype(leaves[key])))]
    if len(wanted or keys) > 1:
        several = ", ".join(wanted or keys)
        raise RequestError(f"{name} has several images, {several}; the builder must call one of them image")
    (key,) = wanted or keys
    return key, _stored_image(name, key, leaves[key], encoded=bool(encoded))


def _stored_image(name: str, key: str, feature: Any, encoded: bool) -> StoredImage:
    height, width, channels = shape = feature.shape
    image = StoredImage(_dtype(feature), encoded, (height, width, channels or 3))
    if None in shape and not image.feature.encoded:
        raise RequestError(f"{key} of {name} is {shape}; a Tensor, and an Image of float32, must have one size")
    if not encoded and height <= _MOST_CHANNELS < channels:
        raise RequestError(f"{key} of {name} is {shape}; it must be (height, width, channels)")
    return image


def _leaves(features: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The features that hold no others, by the key under which they are stored: `inputs/image`."""
    import tensorflow_datasets as tfds

    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from _leaves(feature, f"{path}{key}/")
        else:
            yield f"{path}{key}", feature


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _names(leaves: dict[str, Any], image_key: str) -> dict[str, str]:
    """By key, what features are called; one whose name another one has already, such as `image`, is left out."""
    last = [_last(key) for key in leaves]
    names = {image_key: "image"}
    # Those that are not within others come first: they keep their names.
    for key in sorted(leaves, key=lambda key: "/" in key):
        nested = "/" in key and last.count(_last(key)) > 1
        name = key.replace("/", "_") if nested else _last(key)
        if name not in names.values():
            names.setdefault(key, name)
    return {key: names[key] for key in leaves if key in names}


def _default_label(
    labels: list[str],
    plain: Collection[str],
    features: Collection[str],
    names: Collection[str],
    target: str | None,
) -> str | None:
    """`label` or the supervised target, of class labels before whole numbers and strings; else the only class label.

    Another label is not learned in the place of one of the two, be that a float or what is not read at all.

    Args:
        labels: the class labels.
        plain: whole numbers and strings.
        features: all that are read.
        names: all that there are.
        target: the supervised one, None if there is none.
    """
    first = [name for name in ("label", target) if name in names and name != "image"]
    for known in (labels, plain, features):
        for name in first:
            if name in known:
                return name
    return labels[0] if len(labels) == 1 and not first else None


def supervised(info: Any) -> tuple[Any, Any]:
    """Input and target as the dataset's author names them, None where that is no feature's key."""
    keys = info.supervised_keys[:2] if isinstance(info.supervised_keys, tuple) else (None, None)
    return tuple(key if isinstance(key, str) else None for key in keys)


def _dtype(feature: Any) -> str:
    """NumPy's name of a feature's element type, `string` for strings; empty for what is no tensor."""
    import tensorflow_datasets as tfds

    info = feature.get_tensor_info()
    if not isinstance(info, tfds.features.TensorInfo):
        return ""
    return "string" if info.tf_dtype == tf.string else np.dtype(info.np_dtype).name


def _is_image_tensor(feature: Any) -> bool:
    plain = _is_stored_plainly(feature, sizes_known=False) and _dtype(feature) in _IMAGE_TYPES
    return plain and len(feature.get_tensor_info().shape) == 3


def _is_stored_plainly(feature: Any, sizes_known: bool = True) -> bool:
    """Whether it is a number, a string or a label, or an array that is stored as it is, of one shape for all."""
    import tensorflow_datasets as tfds

    if isinstance(feature, (tfds.features.Image, tfds.features.Sequence)):
        return False
    tensor, stored = feature.get_tensor_info(), feature.get_serialized_info()
    if not isinstance(tensor, tfds.features.TensorInfo) or not isinstance(stored, tfds.features.TensorInfo):
        return False
    same = tensor.shape == stored.shape and tensor.np_dtype == stored.np_dtype
    known = None not in tensor.shape or not sizes_known
    return same and known and _dtype(feature) in _STORED_AS and (_dtype(feature) != "string" or not tensor.shape)
