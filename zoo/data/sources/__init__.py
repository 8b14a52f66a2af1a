"""From a dataset's name to an `ExampleSource`: random access to the examples of one split."""

from collections.abc import Collection

from zoo.data.sources import folder, synthetic, tfds_source
from zoo.data.sources.example_source import Description, ExampleSource, Feature, InMemorySource, fetch_examples
from zoo.data.sources.tfds_builders import NotPreparedError
from zoo.errors import RequestError

__all__ = [
    "DEFAULT_MEMORY_BYTES",
    "EMBEDDED",
    "Description",
    "ExampleSource",
    "Feature",
    "InMemorySource",
    "NotPreparedError",
    "describe_source",
    "fetch_examples",
    "load_source",
]

# Name -> module:class of the TFDS builders that come with the zoo.
EMBEDDED = {"digits": "zoo.data.digits:Digits", "glyphs": "zoo.data.glyphs:Glyphs"}
DEFAULT_MEMORY_BYTES = 2 * 2**30


def load_source(
    name: str,
    split: str,
    data_dir: str | None = None,
    *,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    skip_corrupt: bool = False,
    for_a_few: bool = False,
    labels: Collection[str] = (),
    classes_of: str = "",
) -> ExampleSource:
    """Prepares a dataset where that was not done yet, and opens one of its splits.

    Args:
        name: one of
            `digits`, `glyphs`: the datasets that come with the zoo;
            `synthetic`, `synthetic:224x224x3,classes=1000,examples=1281167`: random images, see `synthetic`;
            `folder:PATH`: one folder of images per class, see `folder`;
            `package.module:Builder`: a TFDS builder's class, which is imported;
            a TFDS name; these two and the first may have config and version: `name/config:1.0.0`.
        split: a split or a slice of one, as in TFDS: `train`, `train[:90%]`, `train[90%:]`.
        data_dir: where datasets are prepared; default: TFDS' own, `~/tensorflow_datasets`.
        memory_bytes: a split whose decoded examples take at most so much is held in memory, and so is one whose
            encoded images do; a larger one is read by index.
        skip_corrupt: leave out the images of a folder that cannot be decoded, see `folder`.
        for_a_few: only a few of the examples will be asked for. Then nothing is prepared, and what can be read by index
            is, however small it is; the fingerprint is that of the files where they are read by index.
        labels: what is learned; empty: the dataset's own label. Of those that a TFDS dataset holds as whole numbers or
            strings, the classes are the values that are in `classes_of`, numbers sorted by value and strings by code
            point; finding them is a pass over the split.
        classes_of: the training split; empty: such labels are not learned.

    Raises:
        NotPreparedError: it is not prepared, and was not to be.
        RequestError: there is no such dataset, split or folder, it cannot be prepared or read, it has no images, the
            slice is empty, or it has values of a label that `classes_of` has not; the message is one line that says
            what to change.
    """
    if memory_bytes < 0:
        raise RequestError(f"memory_bytes is {memory_bytes}; it must be at least 0")
    kind = name.partition(":")[0]
    if kind == "folder":
        return folder.load(name, split, memory_bytes=0 if for_a_few else memory_bytes, skip_corrupt=skip_corrupt)
    if kind == "synthetic":
        return synthetic.load(name, split)
    options = {"memory_bytes": memory_bytes, "for_a_few": for_a_few, "labels": labels, "classes_of": classes_of}
    return tfds_source.load(name, split, data_dir, embedded=EMBEDDED, **options)


def describe_source(name: str, split: str, data_dir: str | None = None) -> Description:
    """What is known of a dataset's examples without preparing it, and without reading any of them.

    Args:
        name: see `load_source`; the images of a folder are listed.
        split: see `load_source`.
        data_dir: see `load_source`.

    Raises:
        NotPreparedError: it is not prepared, and was not to be.
        RequestError: there is no such dataset or folder, or it has no images.
    """
    if name.partition(":")[0] in ("folder", "synthetic"):
        source = load_source(name, split, for_a_few=True)
        return Description(source.name, source.features, source.default_label)
    return tfds_source.describe(name, data_dir, embedded=EMBEDDED)
