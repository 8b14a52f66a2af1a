"""Datasets of TensorFlow Datasets: those that come with the zoo, TFDS' own, and builders of other packages.

A split that fits into memory is read once. A larger one is read by index from array_record files, the only format of
TFDS with random access that needs nothing else; its images stay encoded, so that the pipeline can decode what it
crops. Either way example i is the i-th record of the split's files.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from zoo.data.sources import tfds_builders
from zoo.data.sources.example_source import Description, ExampleSource, Feature, InMemorySource, check_feature
from zoo.data.sources.reading import (
    READ_AT_ONCE,
    empty_split,
    fetched_by_numpy,
    progress_bar,
    read_decoded,
    read_encoded,
    split_error,
)
from zoo.errors import RequestError

# What tf.train.Example stores each element type as; others (float64, strings) are not batched here.
_STORED_AS = {
    **dict.fromkeys(("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"), tf.int64),
    "float32": tf.float32,
}


class _Schema(NamedTuple):
    """What is read of each example.

    Attributes:
        features: by name, the image as `image`, encoded.
        keys: what the dataset calls each.
        default_label: see `ExampleSource`.
    """

    features: dict[str, Feature]
    keys: dict[str, str]
    default_label: str | None

    @tf.autograph.experimental.do_not_convert
    def parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized examples (n,) to features (n, ...), a whole batch at once; the image stays encoded."""
        specs = {
            self.keys[name]: tf.io.FixedLenFeature((), tf.string)
            if feature.encoded
            else tf.io.FixedLenFeature(feature.shape, _STORED_AS[feature.dtype])
            for name, feature in self.features.items()
        }
        parsed = tf.io.parse_example(records, specs)
        return {
            name: parsed[self.keys[name]] if feature.encoded else tf.cast(parsed[self.keys[name]], feature.dtype)
            for name, feature in self.features.items()
        }

    def only(self, name: str) -> "_Schema":
        """The schema of one feature."""
        return _Schema({name: self.features[name]}, {name: self.keys[name]}, None)


class ArrayRecordSource:
    """A split of a prepared TFDS dataset that is read by index from its array_record files; see `ExampleSource`."""

    def __init__(self, name: str, builder: Any, split: str, schema: _Schema):
        self.name = name
        self.version = str(builder.version)
        self.features = schema.features
        self.default_label = schema.default_label
        self._schema = schema
        self._records = _open_records(builder, split)
        self.num_examples = len(self._records)
        self.fingerprint = _files_fingerprint(builder.info.splits[split].file_instructions)

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 (n,); the image as encoded bytes, strings (n,)."""
        return self._schema.parse(fetched_by_numpy(self._records.__getitems__, indices))

    def column(self, name: str) -> np.ndarray:
        """See `ExampleSource`; one pass over the split's files.

        Raises:
            RequestError: there is no such feature.
        """
        check_feature(name, self)
        parse = tf.function(self._schema.only(name).parse)
        parts = []
        with progress_bar(self.num_examples, f"reading {name} of {self.name}", " examples") as bar:
            for start in range(0, self.num_examples, READ_AT_ONCE):
                indices = list(range(start, min(start + READ_AT_ONCE, self.num_examples)))
                parts.append(parse(tf.constant(self._records.__getitems__(indices)))[name].numpy())
                bar.update(len(indices))
        return np.concatenate(parts)


def describe(name: str, data_dir: str | None, *, embedded: Mapping[str, str]) -> Description:
    """What a dataset's builder says of its examples, prepared or not.

    Args:
        name: as for `load`.
        data_dir: likewise.
        embedded: likewise.

    Raises:
        RequestError: there is no such dataset, or it has no images.
    """
    schema = _schema(name, tfds_builders.opened(tfds_builders.find(name, data_dir, embedded)))
    return Description(name, schema.features, schema.default_label)


def load(
    name: str,
    split: str,
    data_dir: str | None,
    *,
    memory_bytes: int,
    embedded: Mapping[str, str],
    for_a_few: bool = False,
) -> ExampleSource:
    """Prepares a dataset where that was not done yet, and opens one of its splits.

    Args:
        name: of TFDS, of `embedded`, or `package.module:Builder`; each may have `/config` and `:version`.
        split: a split or a slice of one.
        data_dir: where datasets are prepared; default: TFDS' own.
        memory_bytes: how much may be held in memory.
        embedded: name to `module:Builder` of the datasets that come with the zoo.
        for_a_few: see `zoo.data.sources.load_source`.

    Raises:
        RequestError: see `zoo.data.sources.load_source`.
    """
    dataset = tfds_builders.find(name, data_dir, embedded)
    builder = tfds_builders.opened(dataset)
    # Known without the data, and nobody wants to download a set for nothing.
    _image_key(name, builder.info)
    builder = tfds_builders.found(dataset, builder) if for_a_few else tfds_builders.prepared(dataset, builder)
    if not builder.info.splits:
        raise _damaged(name, builder)
    with_index = _prefer_array_record(builder)
    try:
        info = builder.info.splits[split]
        num_examples = info.num_examples
    except (ValueError, KeyError) as error:
        raise split_error(name, split, builder.info.splits) from error
    if num_examples <= 0:
        raise empty_split(name, split)
    schema = _schema(name, builder)
    try:
        stored_bytes = _stored_bytes(info.file_instructions)
        too_large = min(stored_bytes, _decoded_bytes(schema, num_examples)) > memory_bytes
        if with_index and (too_large or for_a_few):
            return ArrayRecordSource(name, builder, split, schema)
        if too_large:
            raise _too_large(name, builder, split, stored_bytes, memory_bytes, dataset)
        return _read(name, builder, split, schema, memory_bytes)
    except (tf.errors.OpError, OSError) as error:
        raise _damaged(name, builder) from error


def _read(name: str, builder: Any, split: str, schema: _Schema, memory_bytes: int) -> InMemorySource:
    """Reads a split whole: decoded if that fits and the images are no JPEG, else with encoded images."""
    num_examples = builder.info.splits[split].num_examples
    batches = _record_batches(builder, split).map(schema.parse, num_parallel_calls=tf.data.AUTOTUNE)
    first = next(batches.take(1).as_numpy_iterator())["image"][0]
    if _decoded_bytes(schema, num_examples) <= memory_bytes and not tf.io.is_jpeg(first):
        tensors = read_decoded(batches, schema.features, num_examples, name)
    else:
        tensors = read_encoded(batches, num_examples, name)
    return InMemorySource(
        tensors,
        name=name,
        version=str(builder.version),
        class_names={key: feature.class_names for key, feature in schema.features.items()},
        default_label=schema.default_label,
        image_shape=schema.features["image"].shape,
    )


def _record_batches(builder: Any, split: str) -> tf.data.Dataset:
    """The split's serialized examples in the order of its files, string tensors of up to READ_AT_ONCE."""
    instructions = builder.info.splits[split].file_instructions
    if builder.info.file_format.value == "array_record":
        records = _open_records(builder, split)
        indices = tf.data.Dataset.range(len(records)).batch(READ_AT_ONCE)
        fetch = tf.autograph.experimental.do_not_convert(lambda some: fetched_by_numpy(records.__getitems__, some))
        return indices.map(fetch)
    parts = ([str(i.filename) for i in instructions], [i.skip for i in instructions], [i.take for i in instructions])
    files = tf.data.Dataset.from_tensor_slices(tuple(np.array(part) for part in parts))

    @tf.autograph.experimental.do_not_convert
    def records_of(file, skip, take):
        return tf.data.TFRecordDataset(file).skip(skip).take(take)

    options = tf.data.Options()
    # Rewriting the graph and autotuning would take longer than reading a small split.
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return files.flat_map(records_of).batch(READ_AT_ONCE).with_options(options)


def _open_records(builder: Any, split: str) -> Any:
    import tensorflow_datasets as tfds

    return builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)


def _prefer_array_record(builder: Any) -> bool:
    """Whether the dataset can be read by index; of several formats, array_record is then the one that is read."""
    formats = {one.value: one for one in builder.info.available_file_formats()}
    if "array_record" in formats:
        if builder.info.file_format.value != "array_record":
            builder.info.set_file_format(formats["array_record"], override=True, override_if_initialized=True)
        return True
    if builder.info.file_format.value != "tfrecord":
        raise RequestError(
            f"{builder.data_path} is stored as {builder.info.file_format.value}; array_record and tfrecord are read"
        )
    return False


def _stored_bytes(instructions) -> int:
    sizes = (Path(one.filename).stat().st_size * one.take / max(one.examples_in_shard, 1) for one in instructions)
    return int(sum(sizes))


def _decoded_bytes(schema: _Schema, num_examples: int) -> float:
    """What the decoded examples take in memory; infinite if their sizes differ."""
    if None in schema.features["image"].shape:
        return float("inf")
    shapes = [(feature.shape, feature.dtype) for feature in schema.features.values()]
    return num_examples * sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in shapes)


def _files_fingerprint(instructions) -> str:
    digest = hashlib.sha256()
    for one in instructions:
        file = Path(one.filename)
        digest.update(f"{file.name}\0{file.stat().st_size}\0{one.skip}\0{one.take}\n".encode())
    return f"files:{digest.hexdigest()}"


def _image_key(name: str, info: Any) -> str:
    """What the dataset calls its image: `image`, the supervised input, or the first there is."""
    import tensorflow_datasets as tfds

    images = [
        key
        for key, feature in info.features.items()
        if isinstance(feature, tfds.features.Image) and np.dtype(feature.np_dtype) == np.uint8
    ]
    if not images:
        there = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in info.features.items())
        raise RequestError(f"{name} has no feature that is an 8-bit image; it has {there}; choose another dataset")
    return next((key for key in ("image", _supervised(info)[0]) if key in images), images[0])


def _supervised(info: Any) -> tuple[Any, Any]:
    """Input and target as the dataset's author names them; they may be nested, or there are none."""
    return info.supervised_keys[:2] if isinstance(info.supervised_keys, tuple) else (None, None)


def _schema(name: str, builder: Any) -> _Schema:
    """The features of a dataset that can be batched."""
    import tensorflow_datasets as tfds

    info = builder.info
    image = _image_key(name, info)
    shape = (*info.features[image].shape[:2], info.features[image].shape[2] or 3)
    features, keys = {"image": Feature(shape, "uint8", encoded=True)}, {"image": image}
    for key, feature in info.features.items():
        if key != "image" and _can_be_batched(feature):
            names = feature.names if isinstance(feature, tfds.features.ClassLabel) else None
            tensor = feature.get_tensor_info()
            features[key] = Feature(tensor.shape, np.dtype(tensor.np_dtype).name, tuple(names or ()))
            keys[key] = key
    labels = [key for key, feature in info.features.items() if isinstance(feature, tfds.features.ClassLabel)]
    wanted = [key for key in ("label", _supervised(info)[1]) if isinstance(key, str) and key in labels]
    return _Schema(features, keys, wanted[0] if wanted else labels[0] if len(labels) == 1 else None)


def _can_be_batched(feature: Any) -> bool:
    """Whether it is a number or a label, or an array of one shape for all examples that is stored plainly."""
    import tensorflow_datasets as tfds

    if isinstance(feature, (tfds.features.Image, tfds.features.Sequence, tfds.features.FeaturesDict)):
        return False
    tensor, stored = feature.get_tensor_info(), feature.get_serialized_info()
    if not isinstance(tensor, tfds.features.TensorInfo) or not isinstance(stored, tfds.features.TensorInfo):
        return False
    same = tensor.shape == stored.shape and tensor.np_dtype == stored.np_dtype
    return same and None not in tensor.shape and np.dtype(tensor.np_dtype).name in _STORED_AS


def _too_large(
    name: str, builder: Any, split: str, stored_bytes: int, memory_bytes: int, dataset: tfds_builders.Dataset
) -> RequestError:
    return RequestError(
        f"{split} of {name} takes {stored_bytes / 2**30:.2g} GiB, more than the {memory_bytes / 2**30:.2g} GiB of "
        f"memory it may take, and {builder.data_path} is stored as tfrecord, which cannot be read by index; "
        f"run `{dataset.build_command} --overwrite`"
    )


def _damaged(name: str, builder: Any) -> RequestError:
    return RequestError(f"{name} in {builder.data_path} is damaged; remove that folder to prepare it anew")
