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


def list_images(folder: Path, classes: Sequence[str]) -> tuple[list[ImageFile], list[Counter[str]]]:
    """The images below a folder of class folders, ordered by hash, and by class the suffixes of other images.

    Args:
        folder: see above.
        classes: the names of the class folders, in the order of their numbers; one that is not there has no images.

    Raises:
        OSError: a folder cannot be read.
    """
    files, others = [], [Counter() for _ in classes]
    for label, name in enumerate(classes):
        for entry in walk(folder / name) if (folder / name).is_dir() else ():
            is_broken = entry.is_symlink() and not os.path.exists(entry.path)
            # To read a pipe or a device might never end.
            if _has_suffix(entry.name, SUFFIXES) and (is_broken or entry.is_file()):
                relative = os.path.relpath(entry.path, folder).replace(os.sep, "/")
                size = -1 if is_broken else entry.stat().st_size
                files.append(ImageFile(entry.path, label, size, hashlib.sha256(os.fsencode(relative)).digest()))
            elif _has_suffix(entry.name, OTHER_SUFFIXES):
                others[label][os.path.splitext(entry.name)[1].lower()] += 1
    return sorted(files, key=lambda file: file.key), others


def walk(folder: Path) -> Iterator[os.DirEntry]:
    """Every file below a folder, but for hidden ones and what systems leave.

    Links are followed, except where one leads back to a folder that it lies in.
    """
    above = {*folder.absolute().parents, *folder.resolve().parents}
    return _walk(str(folder), frozenset(_identity(parent) for parent in above))


def _walk(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[os.DirEntry]:
    above |= {_identity(folder)}
    for entry in _entries(folder):
        if not _is_folder(entry):
            yield entry
        elif _identity(entry.path) not in above:
            yield from _walk(entry.path, above)


def folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order, but for hidden ones and what systems leave."""
    return [entry.name for entry in _entries(folder) if _is_folder(entry)]


def loose_images(folder: Path) -> int:
    """How many images lie in a folder itself."""
    return sum(_has_suffix(entry.name, SUFFIXES) and not _is_folder(entry) for entry in _entries(folder))


def holds_images(folder: Path) -> bool:
    """Whether there is an image below a folder, be it of a kind that is not decoded."""
    return any(_has_suffix(entry.name, (*SUFFIXES, *OTHER_SUFFIXES)) for entry in walk(folder))


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
