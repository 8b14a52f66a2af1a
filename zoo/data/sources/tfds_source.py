"""Datasets of TensorFlow Datasets: those that come with the zoo, TFDS' own, and builders of other packages.

A split that fits into memory is read once. A larger one is read by index from array_record files, the only format of
TFDS with random access that needs nothing else; its images stay encoded, so that the pipeline can decode what it
crops. Either way example i is the i-th record of the split's files. Images that a dataset holds as plain tensors, and
labels that are whole numbers or strings, are read too: see `tfds_schema` and `tfds_values`.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.sources import tfds_builders, tfds_values
from zoo.data.sources.example_source import Description, ExampleSource, InMemorySource, check_feature
from zoo.data.sources.reading import (
    READ_AT_ONCE,
    empty_split,
    fetched_by_numpy,
    read_decoded,
    read_encoded,
    split_error,
)
from zoo.data.sources.tfds_schema import Schema, find_image, make_schema
from zoo.errors import RequestError, unknown

# What TFDS takes for the name of a split.
_SPLIT = re.compile(r"[\w\-]+")


class ArrayRecordSource:
    """A split of a prepared TFDS dataset that is read by index from its array_record files; see `ExampleSource`."""

    columns_at_hand = False

    def __init__(self, name: str, builder: Any, split: str, schema: Schema):
        self.name = name
        self.version = str(builder.version)
        self.features = schema.features
        self.default_label = schema.default_label
        self._schema = schema
        self._records = _open_records(builder, split)
        self._split = split
        self.num_examples = len(self._records)
        self.fingerprint = _files_fingerprint(builder.info.splits[split].file_instructions)
        with tf.device("CPU:0"):
            self._columns = {key: tf.constant(column) for key, column in schema.columns.items()}

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 (n,); an encoded image as its bytes, strings (n,)."""
        columns = {key: tf.gather(column, indices) for key, column in self._columns.items()}
        return self._schema.parse(fetched_by_numpy(self._records.__getitems__, indices)) | columns

    def column(self, name: str) -> np.ndarray:
        """See `ExampleSource`; one pass over the split's files.

        Raises:
            RequestError: there is no such feature.
        """
        check_feature(name, self)
        if name in self._schema.columns:
            return self._schema.columns[name]
        records = tfds_values.Records(self._split, _batches_of(self._records), self.num_examples)
        return tfds_values.read_column(self.name, records, self._schema, name)


def describe(name: str, data_dir: str | None, *, embedded: Mapping[str, str]) -> Description:
    """What a dataset's builder says of its examples, prepared or not.

    Args:
        name: as for `load`.
        data_dir: likewise.
        embedded: likewise.

    Raises:
        RequestError: there is no such dataset, or it has no images.
    """
    schema = make_schema(name, tfds_builders.opened(tfds_builders.find(name, data_dir, embedded)).info)
    return Description(name, {**schema.features, **schema.plain}, schema.default_label)


def load(
    name: str,
    split: str,
    data_dir: str | None,
    *,
    memory_bytes: int,
    embedded: Mapping[str, str],
    for_a_few: bool = False,
    labels: Collection[str] = (),
    classes_of: str = "",
) -> ExampleSource:
    """Prepares a dataset where that was not done yet, and opens one of its splits.

    Args:
        name: of TFDS, of `embedded`, or `package.module:Builder`; each may have `/config` and `:version`.
        split: a split or a slice of one.
        data_dir: where datasets are prepared; default: TFDS' own.
        memory_bytes: how much may be held in memory.
        embedded: name to `module:Builder` of the datasets that come with the zoo.
        for_a_few: see `zoo.data.sources.load_source`.
        labels: likewise.
        classes_of: likewise.

    Raises:
        RequestError: see `zoo.data.sources.load_source`.
    """
    dataset = tfds_builders.find(name, data_dir, embedded)
    builder = tfds_builders.opened(dataset)
    # Known without the data, and nobody wants to download a set for nothing.
    find_image(name, builder.info)
    builder = tfds_builders.found(dataset, builder) if for_a_few else tfds_builders.prepared(dataset, builder)
    if not builder.info.splits:
        raise _damaged(name, builder)
    with_index = _prefer_array_record(builder)
    num_examples, instructions = _split_files(name, builder, split)
    if num_examples <= 0:
        raise empty_split(name, split)
    schema = make_schema(name, builder.info)
    try:
        stored_bytes, decoded_bytes = _stored_bytes(instructions), _decoded_bytes(schema, num_examples)
        # Plain tensors are held as uint8 or not at all.
        least = min(stored_bytes, decoded_bytes) if schema.features["image"].encoded else decoded_bytes
        if least > memory_bytes and not with_index:
            raise _too_large(name, builder, split, stored_bytes, memory_bytes, dataset)
        if schema.image.is_float:
            if least > memory_bytes and not for_a_few:
                raise tfds_values.not_in_memory(name, split, decoded_bytes, memory_bytes)
            schema = tfds_values.with_scale(name, schema, _all_records(name, builder))
        if classes_of:
            schema = _with_classes(name, builder, schema, labels, split, classes_of)
        if with_index and (least > memory_bytes or for_a_few):
            return ArrayRecordSource(name, builder, split, schema)
        return _read(name, builder, split, schema, memory_bytes)
    except (tf.errors.OpError, OSError) as error:
        raise _damaged(name, builder) from error


def _with_classes(
    name: str, builder: Any, schema: Schema, labels: Collection[str], split: str, classes_of: str
) -> Schema:
    """The schema in which those of the labels that are plain ones are of classes, see `tfds_values.with_classes`."""
    known = {**schema.features, **schema.plain}
    for label in labels:
        if label not in known:
            raise unknown("feature in labels", label, known)
    plain = [label for label in labels or [schema.default_label] if label in schema.plain]
    if not plain:
        return schema
    records = [_records(name, builder, one) for one in (classes_of, split)]
    for label in plain:
        schema = tfds_values.with_classes(name, schema, label, *records)
    return schema


def _split_files(name: str, builder: Any, split: str) -> tuple[int, list[Any]]:
    """How many examples a split or slice has, and the parts of files that hold them."""
    splits = builder.info.splits
    try:
        return splits[split].num_examples, splits[split].file_instructions
    except (ValueError, KeyError, AssertionError) as error:
        odd = [one for one in splits if split.startswith(one) and not _SPLIT.fullmatch(one)]
        if odd:
            raise RequestError(
                f"split {odd[0]!r} of {name} cannot be read by TFDS, which takes letters, digits, _ and -; rename it "
                "in the builder"
            ) from error
        raise split_error(name, split, splits) from error


def _read(name: str, builder: Any, split: str, schema: Schema, memory_bytes: int) -> InMemorySource:
    """Reads a split whole: decoded if that fits and the images are no JPEG, else with encoded images."""
    num_examples = builder.info.splits[split].num_examples
    batches = _record_batches(builder, split).map(schema.parse, num_parallel_calls=tf.data.AUTOTUNE)
    encoded = schema.features["image"].encoded
    is_jpeg = encoded and tf.io.is_jpeg(next(batches.take(1).as_numpy_iterator())["image"][0])
    if _decoded_bytes(schema, num_examples) <= memory_bytes and not is_jpeg:
        tensors = read_decoded(batches, schema.parsed, num_examples, name)
    else:
        tensors = read_encoded(batches, num_examples, name)
    return InMemorySource(
        {**tensors, **schema.columns},
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
        return _batches_of(_open_records(builder, split))
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


def _batches_of(records: Any) -> tf.data.Dataset:
    """The same of the records of array_record files."""
    indices = tf.data.Dataset.range(len(records)).batch(READ_AT_ONCE)
    fetch = tf.autograph.experimental.do_not_convert(lambda some: fetched_by_numpy(records.__getitems__, some))
    return indices.map(fetch)


def _records(name: str, builder: Any, split: str) -> tfds_values.Records:
    num_examples, _ = _split_files(name, builder, split)
    return tfds_values.Records(split, _record_batches(builder, split), num_examples)


def _all_records(name: str, builder: Any) -> list[tfds_values.Records]:
    """Those of each split; of one that TFDS cannot read there are none."""
    readable = [split for split, info in builder.info.splits.items() if info.num_examples and _SPLIT.fullmatch(split)]
    return [_records(name, builder, split) for split in readable]


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


def _decoded_bytes(schema: Schema, num_examples: int) -> float:
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


def _too_large(
    name: str, builder: Any, split: str, stored_bytes: int, memory_bytes: int, dataset: tfds_builders.Dataset
) -> RequestError:
    return RequestError(
        f"{split} of {name} takes {stored_bytes / 2**30:.2g} GiB, memory_gib is {memory_bytes / 2**30:.2g}, and its "
        f"tfrecord files cannot be read by index; run `{dataset.build_command} --overwrite`"
    )


def _damaged(name: str, builder: Any) -> RequestError:
    return RequestError(f"{name} in {builder.data_path} is damaged; remove that folder to prepare it anew")
