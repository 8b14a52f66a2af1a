"""Walks folders that people, cameras and systems have filled: which files are images, and which are passed over."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp")
# Images that are not decoded; they are counted, so that none goes missing in silence.
OTHER_SUFFIXES = (
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".svg", ".jp2", ".jxl", ".psd", ".ico", ".tga", ".ppm", ".pgm"),
    *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"),
)
# Folders that macOS, Windows, Linux and network drives leave, in lower case; they may hold copies of the images.
_LEFT_BY_SYSTEMS = ("__macosx", "@eadir", "lost+found", "#recycle", "$recycle.bin", "system volume information")


class ImageFile(NamedTuple):
    """An image: its path, the number of its class, its size in bytes, and the hash that orders and splits.

    The size of a link that leads nowhere is -1.
    """

    path: str
    label: int
    size: int
    key: bytes


class Listing(NamedTuple):
    """What lies in class folders: the images in the order of their hash, by class the suffixes of other images, and
    the links that were not followed since they lead into the folder of another class.
    """

    files: list[ImageFile]
    others: list[Counter[str]]
    crossing: list[str]


def list_images(folder: Path, classes: Sequence[str]) -> Listing:
    """The images below a folder of class folders.

    Args:
        folder: see above.
        classes: the names of the class folders, in the order of their numbers; one that is not there has no images.

    Raises:
        OSError: a folder cannot be read.
    """
    files, others = [], [Counter() for _ in classes]
    there = [label for label, name in enumerate(classes) if (folder / name).is_dir()]
    walk = _Walk([folder / classes[label] for label in there])
    for number, entry in walk:
        label = there[number]
        is_broken = entry.is_symlink() and not os.path.exists(entry.path)
        # To read a pipe or a device might never end.
        if _has_suffix(entry.name, SUFFIXES) and (is_broken or entry.is_file()):
            relative = _relative(entry.path, folder)
            size = -1 if is_broken else entry.stat().st_size
            files.append(ImageFile(entry.path, label, size, hashlib.sha256(os.fsencode(relative)).digest()))
        elif _has_suffix(entry.name, OTHER_SUFFIXES):
            others[label][os.path.splitext(entry.name)[1].lower()] += 1
    crossing = [_relative(path, folder) for path in walk.crossing]
    return Listing(sorted(files, key=lambda file: file.key), others, crossing)


class _Walk:
    """Every file below some folders, but for hidden ones and what systems leave, with the number of its folder.

    Links are followed, except where one leads back to a folder that it lies in. Each folder is entered once, under the
    number of the first that leads to it; what lies in the folders themselves comes before links.

    Args:
        starts: the folders.

    Attributes:
        crossing: the paths at which one of the folders leads to what was entered under another's number.
    """

    def __init__(self, starts: Sequence[Path]):
        self.crossing: list[str] = []
        self._above = [_above(start) for start in starts]
        self._numbers: dict[tuple[int, int], int] = {}
        # What is a link comes second here too.
        self._waiting = sorted(enumerate(map(str, starts)), key=lambda start: os.path.islink(start[1]))

    def __iter__(self) -> Iterator[tuple[int, os.DirEntry]]:
        while self._waiting:
            now, self._waiting = self._waiting, []
            for number, path in now:
                yield from self._below(number, path)

    def _below(self, number: int, path: str) -> Iterator[tuple[int, os.DirEntry]]:
        identity = _identity(path)
        if identity in self._above[number]:
            return
        if identity in self._numbers:
            if self._numbers[identity] != number:
                self.crossing.append(path)
            return
        self._numbers[identity] = number
        for entry in _entries(path):
            if not _is_folder(entry):
                yield number, entry
            elif entry.is_symlink():
                self._waiting.append((number, entry.path))
            else:
                yield from self._below(number, entry.path)


def folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order.

    Not of hidden ones and what systems leave, nor of links back to the folder or to one that it lies in.
    """
    found = [entry for entry in _entries(folder) if _is_folder(entry)]
    above = _above(folder) | {_identity(folder)}
    return [entry.name for entry in found if not entry.is_symlink() or _identity(entry.path) not in above]


def repeated(folder: Path, names: Sequence[str]) -> list[str]:
    """The links among the folders of these names in a folder that lead to, or into, another one of them."""
    taken = {(folder / name).resolve() for name in names if not (folder / name).is_symlink()}
    links = {name: (folder / name).resolve() for name in names if (folder / name).is_symlink()}
    found = []
    # A folder comes before those within.
    for name, path in sorted(links.items(), key=lambda link: len(link[1].parts)):
        if taken.isdisjoint((path, *path.parents)):
            taken.add(path)
        else:
            found.append(name)
    return found


def loose_images(folder: Path) -> int:
    """How many images lie in a folder itself."""
    return sum(_has_suffix(entry.name, SUFFIXES) and not _is_folder(entry) for entry in _entries(folder))


def holds_images(folder: Path) -> bool:
    """Whether there is an image below a folder, be it of a kind that is not decoded."""
    return any(_has_suffix(entry.name, (*SUFFIXES, *OTHER_SUFFIXES)) for _, entry in _Walk([folder]))


def holds_classes(folder: Path) -> bool:
    """Whether a folder holds folders with images."""
    return any(holds_images(folder / name) for name in folders(folder))


def printable(path: str | os.PathLike) -> str:
    r"""A path as it can be written anywhere: bytes that are not UTF-8 become `\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _entries(folder: str | Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted((e for e in kept if e.name.lower() not in _LEFT_BY_SYSTEMS), key=lambda entry: entry.name)


def _relative(path: str, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _above(folder: Path) -> set[tuple[int, int]]:
    """The folders that a folder lies in, by the path that leads there and where that is."""
    path = Path(os.path.abspath(folder))
    parent = path.parent.resolve()
    above = {*path.parents, *folder.resolve().parents, parent, *parent.parents}
    return {_identity(one) for one in above}


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself is none.
        return False


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes)
