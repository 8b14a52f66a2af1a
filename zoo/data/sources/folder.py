"""Folders of images, one folder per class: `folder:PATH`.

Either PATH holds the class folders, and about a tenth of the images, chosen by a hash of class and file name, is the
test split: it stays the same when images are added. Or PATH holds `train/` and `test/` (or `validation/`, `val/`) with
the same class folders in each. A class folder may have folders within. Files are JPEG and PNG by their suffix, of
any mode: grey, alpha, palette, CMYK and 16 bit all come as 8-bit RGB. Hidden files and others are passed over.

The order is that of the hash: it mixes the classes, so that a slice such as `train[:90%]` holds all of them.
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from zoo.data.images import PNG_SIGNATURE
from zoo.data.sources.example_source import ExampleSource, Feature, InMemorySource, check_feature
from zoo.data.sources.reading import (
    READ_AT_ONCE,
    empty_split,
    progress_bar,
    read_encoded,
    split_error,
    split_names,
    split_ranges,
)
from zoo.errors import RequestError

SUFFIXES = (".jpg", ".jpeg", ".png")
CHANNELS = 3
_READ_TOGETHER = 8
# Where the folder has splits, the folders that stand for each.
_SPLIT_FOLDERS = {
    "train": ("train",),
    "test": ("test", "validation", "val"),
    "validation": ("validation", "val"),
    "val": ("val", "validation"),
}
# Share of the images that is held out where the folder has no splits, of the 2**32 values of the hash.
_TEST_BELOW = 2**32 // 10


class _File(NamedTuple):
    """An image: its path, the number of its class, its size in bytes, and the hash that orders and splits."""

    path: str
    label: int
    size: int
    key: bytes


class FolderSource:
    """Images that are read from their files when they are asked for; see `ExampleSource`."""

    columns_at_hand = True

    def __init__(self, name: str, files: list[_File], class_names: tuple[str, ...], root: Path):
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
            digest.update(f"{Path(file.path).relative_to(root).as_posix()}\0{file.size}\n".encode())
        self.fingerprint = f"files:{digest.hexdigest()}"
        self._paths = [file.path for file in files]
        self._labels = np.array([file.label for file in files], np.int64)
        with tf.device("CPU:0"):
            self._label_tensor = tf.constant(self._labels)
            self._path_tensor = tf.constant(self._paths)

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 (n,): `image` strings (n,), the files' bytes, and `label` int64 (n,)."""
        paths = tf.gather(self._path_tensor, indices)
        # Several at once, for folders that are far away.
        contents = tf.map_fn(tf.io.read_file, paths, parallel_iterations=_READ_TOGETHER)
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
                return paths[int(np.argmin(readable))]
        return None


def load(name: str, split: str, *, memory_bytes: int, skip_corrupt: bool = False) -> ExampleSource:
    """Opens a split of a folder of images.

    Images that fit into memory are read once, as encoded files, and all decoded once to see that they can be. Otherwise
    files are read by index, and decoded beforehand only to find those to skip.

    Args:
        name: `folder:PATH`.
        split: `train`, `test`, with `validation` and `val` where there are such folders; or a slice.
        memory_bytes: how much may be held in memory.
        skip_corrupt: leave out images that cannot be decoded, with one line on standard error.

    Raises:
        RequestError: there is no such folder, split or image, fewer than two classes, a class without images, an image
            that cannot be decoded, or test classes that are not those of training.
    """
    path = name.partition(":")[2]
    if not path:
        raise RequestError(f"dataset is {name!r}; write folder:PATH")
    root = Path(path).expanduser()
    try:
        class_names, files = _list_split(name, root, split)
    except OSError as error:
        raise RequestError(f"{error.filename or root} cannot be read: {error.strerror}") from error
    if sum(file.size for file in files) > memory_bytes:
        if skip_corrupt:
            files = _without_corrupt(name, files, class_names, skip_corrupt)
        return FolderSource(name, files, class_names, root)
    files = _without_corrupt(name, files, class_names, skip_corrupt)
    tensors = read_encoded(_batches(files), len(files), name)
    return InMemorySource(tensors, name=name, class_names={"label": class_names}, image_shape=(None, None, CHANNELS))


def _list_split(name: str, root: Path, split: str) -> tuple[tuple[str, ...], list[_File]]:
    """The classes, and the files of a split or slice in their order."""
    if not root.is_dir():
        raise RequestError(f"folder {root} {'is a file' if root.exists() else 'does not exist'}; write folder:PATH")
    train = root / "train"
    if train.is_dir() and _folders(train):
        found = {
            key: next((root / one for one in names if (root / one).is_dir()), None)
            for key, names in _SPLIT_FOLDERS.items()
        }
        folders = {key: folder for key, folder in found.items() if folder}
        class_names = _class_names(train)
        by_split = {}
        for key in split_names(split):
            if key not in folders:
                raise split_error(name, split, {path.name for path in folders.values()})
            _check_same_classes(train, class_names, folders[key])
            by_split[key] = _list_files(folders[key], class_names)
    else:
        class_names = _class_names(root)
        files = _list_files(root, class_names)
        held_out = [int.from_bytes(file.key[:4], "big") < _TEST_BELOW for file in files]
        by_split = {
            "train": [file for file, out in zip(files, held_out, strict=True) if not out],
            "test": [file for file, out in zip(files, held_out, strict=True) if out],
        }
        if not all(by_split.get(key, files) for key in split_names(split)):
            raise RequestError(
                f"{root} has only {len(files)} images, too few to split by chance; sort them into train/ and test/"
            )
    ranges = split_ranges(name, split, {key: len(files) for key, files in by_split.items()})
    return class_names, [file for key, start, stop in ranges for file in by_split[key][start:stop]]


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _class_names(folder: Path) -> tuple[str, ...]:
    names = _folders(folder)
    if not names:
        raise RequestError(f"{folder} holds no folders; images are looked for in {folder / 'CLASS' / 'IMAGE'}")
    if len(names) == 1:
        raise RequestError(f"{folder} holds one class, {names[0]}; a classifier needs two or more folders")
    return tuple(names)


def _check_same_classes(train: Path, class_names: tuple[str, ...], folder: Path) -> None:
    missing = sorted(set(class_names) - set(_folders(folder)))
    more = sorted(set(_folders(folder)) - set(class_names))
    if missing or more:
        differences = [f"lacks {_listed(missing)}"] if missing else []
        differences += [f"has {_listed(more)} besides"] if more else []
        raise RequestError(f"{folder} {' and '.join(differences)}; it must have the class folders of {train}")


def _list_files(folder: Path, class_names: tuple[str, ...]) -> list[_File]:
    """The images below a folder of class folders, ordered by hash."""
    files = [file for label, name in enumerate(class_names) for file in _list_class(folder, folder / name, label)]
    used = {file.label for file in files}
    if not files:
        raise RequestError(f"{folder} holds no images ({', '.join(SUFFIXES)}) in its class folders")
    empty = [name for label, name in enumerate(class_names) if label not in used]
    if empty:
        raise RequestError(
            f"{folder / empty[0]} holds no images ({', '.join(SUFFIXES)}); add some or remove the folder"
        )
    return sorted(files, key=lambda file: file.key)


def _list_class(folder: Path, class_folder: Path, label: int) -> list[_File]:
    files = []
    for place, _, names in os.walk(class_folder, followlinks=True, onerror=_raise):
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = os.path.join(place, name)
                relative = Path(path).relative_to(folder).as_posix()
                key = hashlib.sha256(os.fsencode(relative)).digest()
                files.append(_File(path, label, os.stat(path).st_size, key))
    return files


def _raise(error: OSError) -> None:
    raise error


def _without_corrupt(name: str, files: list[_File], class_names: tuple[str, ...], skip: bool) -> list[_File]:
    """The files that can be decoded; one that cannot is an error, unless skipped."""
    readable = _readable([file.path for file in files], f"checking {name}")
    if readable.all():
        return files
    first, count = files[int(np.argmin(readable))].path, int((~readable).sum())
    if not skip:
        raise corrupt_image(first, count)
    kept = [file for file, good in zip(files, readable, strict=True) if good]
    print(
        f"warning: {count} of {len(files)} images of {name} cannot be decoded and are left out; the first is {first}",
        file=sys.stderr,
    )
    if not kept:
        raise empty_split(name, "of readable images")
    emptied = sorted({file.label for file in files} - {file.label for file in kept})
    if emptied:
        raise RequestError(f"no image of class {class_names[emptied[0]]} of {name} can be decoded; remove the folder")
    return kept


def corrupt_image(path: str, count: int = 1) -> RequestError:
    """The error for an image that cannot be decoded.

    Args:
        path: of the first such file.
        count: how many there are.
    """
    more = f" (and {count - 1} more)" if count > 1 else ""
    return RequestError(
        f"{path}{more} cannot be decoded as JPEG or PNG; mend or remove it, or leave such images out with "
        "--skip_corrupt_images"
    )


def _readable(paths: list[str], description: str | None = None) -> np.ndarray:
    """Whether each file is a JPEG or a PNG that can be decoded, bool (n,)."""

    @tf.autograph.experimental.do_not_convert
    def decoded(number, path):
        content = tf.io.read_file(path)
        # TensorFlow would read a BMP or a GIF too, whatever its suffix.
        known = tf.io.is_jpeg(content) | (tf.strings.substr(content, 0, len(PNG_SIGNATURE)) == PNG_SIGNATURE)
        with tf.control_dependencies([tf.debugging.assert_equal(known, True, "neither JPEG nor PNG")]):
            image = tf.io.decode_image(content, channels=CHANNELS, expand_animations=False)
        return number, tf.size(image)

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


def _batches(files: list[_File]) -> tf.data.Dataset:
    paths, labels = [file.path for file in files], np.array([file.label for file in files], np.int64)

    @tf.autograph.experimental.do_not_convert
    def read(path, label):
        return {"image": tf.io.read_file(path), "label": label}

    dataset = tf.data.Dataset.from_tensor_slices((paths, labels))
    return dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(READ_AT_ONCE)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
