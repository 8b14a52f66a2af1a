"""Folders of images, one folder per class: `folder:PATH`.

Either PATH holds the class folders, and about a tenth of the images, chosen by a hash of class and file name, is the
test split: it stays the same when images are added. Or PATH holds folders of splits with the same class folders in
each: `train` or `training`, `test` or `testing`, and `val`, `valid`, `validation` or `dev`, in any case, also as
`train_set`, `test_images` and the like. A split is asked for by its folder's name or another one of its kind; where
there is no `test`, it is the validation split. What could be read in two ways is refused. A class folder may have
folders within.

Files are JPEG, PNG, BMP, GIF and WebP by their suffix, of any mode: grey, alpha, palette, CMYK and 16 bit all come as
8-bit RGB, turned as their EXIF data say. Other images are passed over with a warning, as are folders without images;
hidden files, what systems leave (`__MACOSX`, `@eaDir`, `lost+found`) and other files without one. Links are followed,
but not back to a folder that they lie in, not twice to one folder, and with a warning not to that of another class.

The order is that of the hash: it mixes the classes, so that a slice such as `train[:90%]` holds all of them.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.data import images
from zoo.data.sources.example_source import ExampleSource, Feature, InMemorySource, check_feature
from zoo.data.sources.folder_files import ImageFile, Listing, list_images, printable
from zoo.data.sources.folder_layout import (
    check_classes,
    check_no_splits,
    find_classes,
    find_splits,
    kind_of,
    listed,
    split_folder,
)
from zoo.data.sources.reading import (
    READ_AT_ONCE,
    empty_split,
    progress_bar,
    read_encoded,
    split_names,
    split_ranges,
)
from zoo.errors import RequestError, warn

CHANNELS = 3
_READ_TOGETHER = 8
# Share of the images that is held out where the folder has no splits, of the 2**32 values of the hash.
_TEST_BELOW = 2**32 // 10


class FolderSource:
    """Images that are read from their files when they are asked for; see `ExampleSource`."""

    columns_at_hand = True

    def __init__(self, name: str, files: list[ImageFile], class_names: tuple[str, ...], root: Path):
        self.name = name
        self.version = ""
        self.num_examples = len(files)
        self.features = {
            "image": Feature((None, None, CHANNELS), "uint8", encoded=True),
            "label": Feature((), "int64", class_names),
        }
        self.default_label = "label"
        digest = hashlib.sha256()
        for file in files:
            digest.update(os.fsencode(_relative(file, root)) + f"\0{file.size}\n".encode())
        self.fingerprint = f"files:{digest.hexdigest()}"
        self.names = _names(files, root)
        self._paths = [file.path for file in files]
        self._labels = np.array([file.label for file in files], np.int64)
        with tf.device("CPU:0"):
            self._label_tensor = tf.constant(self._labels)
            self._path_tensor = tf.constant([os.fsencode(path) for path in self._paths])

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 (n,): `image` strings (n,), the files' bytes, and `label` int64 (n,)."""
        paths = tf.gather(self._path_tensor, indices)
        # Several at once, for folders that are far away; TensorFlow warns who asks for that outside of a graph.
        parallel = None if tf.executing_eagerly() else _READ_TOGETHER
        contents = tf.map_fn(tf.io.read_file, paths, parallel_iterations=parallel)
        return {"image": contents, "label": tf.gather(self._label_tensor, indices)}

    def column(self, name: str) -> np.ndarray:
        """See `ExampleSource`.

        Raises:
            RequestError: there is no such label.
        """
        check_feature(name, self)
        if name == "label":
            return self._labels
        return np.array([Path(path).read_bytes() for path in self._paths], object)

    def first_corrupt(self, indices: np.ndarray) -> str | None:
        """The file of the first of these examples that cannot be decoded, or None if all can."""
        for start in range(0, len(indices), READ_AT_ONCE):
            paths = [self._paths[index] for index in indices[start : start + READ_AT_ONCE]]
            readable = _readable(paths)
            if not readable.all():
                return printable(paths[int(np.argmin(readable))])
        return None


def load(name: str, split: str, *, memory_bytes: int, skip_corrupt: bool = False) -> ExampleSource:
    """Opens a split of a folder of images.

    Images that fit into memory are read once, as encoded files, and all decoded once to see that they can be. Otherwise
    files are read by index, and decoded beforehand only to find those to skip.

    Args:
        name: `folder:PATH`.
        split: `train`, `test`, with `validation` and its other names where there is such a folder; or a slice.
        memory_bytes: how much may be held in memory.
        skip_corrupt: leave out images that cannot be decoded, with one line on standard error.

    Raises:
        RequestError: there is no such folder, split or image, the folder could be read in two ways, fewer than two
            classes, a class without images that can be decoded, or test classes that training has not.
    """
    path = name.partition(":")[2]
    if not path:
        raise RequestError(f"dataset is {name!r}; write folder:PATH")
    name, root = printable(name), Path(path).expanduser()
    try:
        classes, files = _list_split(name, root, split)
    except OSError as error:
        raise RequestError(f"{printable(error.filename or root)} cannot be read: {error.strerror}") from error
    class_names = tuple(map(printable, classes))
    in_memory = sum(file.size for file in files) <= memory_bytes
    if in_memory or skip_corrupt:
        is_training = any(kind_of(key) == "train" for key in split_names(split))
        files = _without_corrupt(name, files, class_names, skip_corrupt, is_training)
    elif broken := [file.path for file in files if file.size < 0]:
        raise corrupt_image(broken[0], len(broken))
    if not in_memory:
        return FolderSource(name, files, class_names, root)
    return InMemorySource(
        read_encoded(_batches(files), len(files), name),
        name=name,
        class_names={"label": class_names},
        image_shape=(None, None, CHANNELS),
        names=_names(files, root),
    )


def _list_split(name: str, root: Path, split: str) -> tuple[tuple[str, ...], list[ImageFile]]:
    """The class folders, and the files of a split or slice in their order."""
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise RequestError(f"folder {printable(root)} {problem}; write folder:PATH")
    splits, others = find_splits(root)
    if splits:
        classes, by_split = _list_folders(name, split, splits)
        if others and any(kind_of(key) == "train" for key in by_split):
            warn(f"{printable(root)} holds splits, so other folders with images are passed over: {listed(others)}")
    else:
        classes, by_split = _held_out(root, split)
    ranges = split_ranges(name, split, {key: len(files) for key, files in by_split.items()})
    for key in split_names(split):
        missing = [one for label, one in enumerate(classes) if label not in {file.label for file in by_split[key]}]
        # Which classes other splits lack is the business of what is learned; see `zoo.tasks.labels`.
        if missing and kind_of(key) == "train":
            warn(f"split {key} of {name} has no images of {listed(missing)}")
    return classes, [file for key, start, stop in ranges for file in by_split[key][start:stop]]


def _list_folders(
    name: str, split: str, splits: Mapping[str, Path]
) -> tuple[tuple[str, ...], dict[str, list[ImageFile]]]:
    """The class folders, those of training, and the files of each split that is asked for, in folders of their own."""
    train = split_folder(name, split, "train", splits)
    asked = {key: split_folder(name, split, key, splits) for key in split_names(split)}
    check_no_splits(train)
    classes = find_classes(train, say=train in asked.values())
    by_split = {}
    for key, folder in asked.items():
        if folder != train:
            check_classes(train, classes, folder)
        listing = list_images(folder, classes)
        _report_passed_over(folder, classes, listing, folder == train)
        by_split[key] = listing.files
    return classes, by_split


def _held_out(root: Path, split: str) -> tuple[tuple[str, ...], dict[str, list[ImageFile]]]:
    """The class folders, and the files of both splits where they are told apart by hash."""
    asked = split_names(split)
    # Both splits list the same files; what is passed over is said once.
    with_training = any(kind_of(key) == "train" for key in asked)
    classes = find_classes(root, say=with_training)
    listing = list_images(root, classes)
    if with_training:
        _report_passed_over(root, classes, listing, True)
    files = listing.files
    held_out = [int.from_bytes(file.key[:4], "big") < _TEST_BELOW for file in files]
    by_split = {
        "train": [file for file, out in zip(files, held_out, strict=True) if not out],
        "test": [file for file, out in zip(files, held_out, strict=True) if out],
    }
    by_split |= {key: by_split["train" if kind_of(key) == "train" else "test"] for key in asked if kind_of(key)}
    if not all(by_split.get(key, files) for key in asked):
        raise RequestError(
            f"{printable(root)} has only {len(files)} images, too few to split by chance; "
            "sort them into train/ and test/"
        )
    return classes, by_split


def _report_passed_over(folder: Path, classes: Sequence[str], listing: Listing, is_training: bool) -> None:
    """Warns of images of kinds that are not decoded, and of links between classes.

    Raises:
        RequestError: a class has nothing else to train on.
    """
    shown = {file.label for file in listing.files}
    for label, counts in enumerate(listing.others):
        if is_training and counts and label not in shown:
            name = printable(folder / classes[label])
            raise RequestError(f"{name} holds no image that is read, only {_counted(counts)}; convert them to JPEG")
    if total := sum(listing.others, Counter()):
        warn(f"{total.total()} files of {printable(folder)} are passed over: {_counted(total)}; convert them to JPEG")
    if listing.crossing:
        links = listed(listing.crossing)
        warn(f"links of {printable(folder)} to folders of other classes are passed over: {links}")


def _counted(suffixes: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())


def _relative(file: ImageFile, root: Path) -> str:
    return Path(file.path).relative_to(root).as_posix()


def _names(files: list[ImageFile], root: Path) -> list[str]:
    return [printable(_relative(file, root)) for file in files]


def _without_corrupt(
    name: str, files: list[ImageFile], class_names: tuple[str, ...], skip: bool, is_training: bool
) -> list[ImageFile]:
    """The files that can be decoded; one that cannot is an error, unless skipped."""
    readable = _readable([file.path for file in files], f"checking {name}")
    if readable.all():
        return files
    first, count = files[int(np.argmin(readable))].path, int((~readable).sum())
    if not skip:
        raise corrupt_image(first, count)
    kept = [file for file, good in zip(files, readable, strict=True) if good]
    warn(
        f"{count} of {len(files)} images of {name} cannot be decoded and are left out; the first is {printable(first)}"
    )
    if not kept:
        raise empty_split(name, "of readable images")
    emptied = sorted({file.label for file in files} - {file.label for file in kept})
    if emptied and is_training:
        raise RequestError(f"no image of class {class_names[emptied[0]]} of {name} can be decoded; remove the folder")
    return kept


def corrupt_image(path: str, count: int = 1) -> RequestError:
    """The error for an image that cannot be decoded.

    Args:
        path: of the first such file.
        count: how many there are.
    """
    more = f" (and {count - 1} more)" if count > 1 else ""
    is_broken_link = os.path.islink(path) and not os.path.exists(path)
    problem = "is a broken link" if is_broken_link else "cannot be decoded as JPEG, PNG, BMP, GIF or WebP"
    return RequestError(
        f"{printable(path)}{more} {problem}; mend or remove it, or leave such images out with --skip_corrupt_images"
    )


def _readable(paths: list[str], description: str | None = None) -> np.ndarray:
    """Whether each file is an image that can be decoded, bool (n,)."""

    @tf.autograph.experimental.do_not_convert
    def decoded(number, path):
        return number, tf.size(images.decode_one(tf.io.read_file(path), CHANNELS))

    # Paths are bytes: their names need not be UTF-8.
    paths = [os.fsencode(path) for path in paths]
    dataset = tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), paths))
    dataset = dataset.map(decoded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # Its errors are what is looked for, so nothing is logged.
    dataset = dataset.ignore_errors(log_warning=False).batch(READ_AT_ONCE)
    readable = np.zeros(len(paths), bool)
    with progress_bar(len(paths) if description else 0, description or "") as bar:
        for numbers, sizes in dataset.as_numpy_iterator():
            readable[numbers] = sizes > 0
            bar.update(len(numbers))
    return readable


def _batches(files: list[ImageFile]) -> tf.data.Dataset:
    paths, labels = [os.fsencode(file.path) for file in files], np.array([file.label for file in files], np.int64)

    @tf.autograph.experimental.do_not_convert
    def read(path, label):
        return {"image": tf.io.read_file(path), "label": label}

    dataset = tf.data.Dataset.from_tensor_slices((paths, labels))
    return dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(READ_AT_ONCE)
