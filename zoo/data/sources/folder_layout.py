"""What a folder of images is divided into: splits by their usual names, and classes."""

import re
from collections.abc import Iterable
from pathlib import Path

from zoo.data.sources.folder_files import (
    SUFFIXES,
    folders,
    holds_classes,
    holds_images,
    loose_images,
    printable,
    repeated,
)
from zoo.data.sources.reading import split_error
from zoo.errors import RequestError, some_of, warn

# Each kind of split, and how its folder may be called, in any case and with one of the endings.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_KINDS = {name: kind for kind, names in SPLITS.items() for name in names}
# `training_set`, `test images`, `valset`, and the `test1` of Kaggle's contests.
_ENDING = re.compile(r"[ _-]?(set|images|data)$|1$")
# What a split stands for where the folder has none of its kind.
_INSTEAD = {"test": "validation"}


def kind_of(name: str) -> str | None:
    """The kind of split that a name stands for: `Training` and `train_set` for `train`; None: for none."""
    return _KINDS.get(_ENDING.sub("", name.lower()))


def _last_kind(name: str) -> str | None:
    """The kind of split that a name or its last word stands for: `seg_train` for `train`; not enough to be one."""
    return kind_of(name) or kind_of(re.split("[ _-]", name)[-1])


def find_splits(root: Path) -> tuple[dict[str, Path], list[str]]:
    """The folders that are splits, by their own names, and the other folders with images; no splits: it holds classes.

    It holds splits if a folder called like a training split holds class folders.

    Raises:
        RequestError: it could be read in two ways; the message says which.
    """
    named = [name for name in folders(root) if kind_of(name) and holds_images(root / name)]
    sorted_in = [name for name in named if holds_classes(root / name)]
    train = [name for name in named if kind_of(name) == "train"]
    if not any(name in sorted_in for name in train):
        _check_no_splits(root, sorted_in)
        return {}, []
    _check_different(root, named)
    others = [name for name in folders(root) if kind_of(name) is None and holds_images(root / name)]
    if others and not set(sorted_in) - set(train):
        classes = listed([*train, *others])
        raise _two_ways(root, f"the split {train[0]} beside {listed(others)}", f"the classes {classes}")
    return {name: root / name for name in folders(root) if kind_of(name)}, others


def check_no_splits(folder: Path) -> None:
    """Refuses a folder of class folders, such as a split, that holds splits itself, or may do so."""
    splits, _ = find_splits(folder)
    if splits:
        raise _two_ways(folder, f"the splits {listed(splits)}", "the classes of a split")


def _check_no_splits(root: Path, sorted_in: list[str]) -> None:
    """Refuses a root without training split whose folders are called like splits and do not look like classes."""
    if sorted_in:
        raise _two_ways(root, f"the split {sorted_in[0]} without train/", f"the class {sorted_in[0]}")
    named = [name for name in folders(root) if _last_kind(name) and holds_images(root / name)]
    if len({_last_kind(name) for name in named}) > 1:
        raise _two_ways(root, f"the splits {listed(named)} without class folders", "classes of these names")


def _check_not_crossed(folder: Path, classes: list[str]) -> None:
    """Refuses class folders that are divided alike, of which either could be the classes."""
    inner = set.intersection(*(set(folders(folder / name)) for name in classes))
    if len(inner) > 1:
        inner = {name for name in inner if all(holds_images(folder / one / name) for one in classes)}
    if len(inner) > 1:
        raise _two_ways(folder, f"the classes {listed(classes)}", f"the classes {listed(inner)} in each of them")


def _check_different(root: Path, named: list[str]) -> None:
    """Refuses folders of which either could be meant: `train` and `Training`, `test` and `Test`."""
    seen: dict[str, str] = {}
    for name in named:
        key = "train" if kind_of(name) == "train" else name.lower()
        if key in seen:
            raise RequestError(f"{printable(root)} has {seen[key]} and {name}, either of which may be {key}; join them")
        seen[key] = name


def _two_ways(root: Path, one: str, other: str) -> RequestError:
    return RequestError(f"{printable(root)} may hold {one}, or {other}; rename or move folders so that it is clear")


def split_folder(name: str, split: str, key: str, splits: dict[str, Path]) -> Path:
    """The folder of a split.

    Args:
        name: of the dataset, for errors.
        split: all that was asked for, for errors.
        key: one split of it: a folder's own name, or another one of the same kind.
        splits: see `find_splits`.

    Raises:
        RequestError: there is none, or it could be either of two.
    """
    if key in splits:
        return splits[key]
    kind = kind_of(key)
    by_kind = {one: [own for own in splits if kind_of(own) == one] for one in SPLITS}
    found = by_kind.get(kind, []) or by_kind.get(_INSTEAD.get(kind), [])
    if len(found) > 1:
        raise RequestError(f"split {key} of {name} may be {' or '.join(found)}; name one of them")
    if found:
        return splits[found[0]]
    if kind and len(splits) == 1:
        (own,) = splits
        raise RequestError(
            f"{name} has {own} and no {key}; write {name}/{own}, of which a tenth is held out, or take slices: "
            f"{own}[:90%] and {own}[90%:]"
        )
    raise split_error(name, split, splits)


def find_classes(folder: Path, say: bool) -> tuple[str, ...]:
    """The names of the class folders.

    Args:
        folder: holds them.
        say: warn of what is passed over: class folders without images, links to other ones, and images beside them.

    Raises:
        RequestError: there are fewer than two, or folders within all of them could be the classes.
    """
    names = folders(folder)
    shown = printable(folder)
    if not names:
        raise RequestError(f"{shown} holds no folders; images are looked for in {shown}/CLASS/IMAGE")
    filled = [name for name in names if holds_images(folder / name)]
    links = repeated(folder, filled)
    classes = [name for name in filled if name not in links]
    if not classes:
        raise RequestError(f"{shown} holds no images ({', '.join(SUFFIXES)}) in its class folders")
    if len(classes) == 1:
        inner = folder / classes[0]
        advice = (
            f"did you mean folder:{printable(inner)}?" if holds_classes(inner) else "a classifier needs two or more"
        )
        raise RequestError(f"{shown} holds one class, {printable(classes[0])}; {advice}")
    _check_not_crossed(folder, classes)
    if say:
        if len(filled) < len(names):
            warn(f"folders of {shown} without images are passed over: {listed(set(names) - set(filled))}")
        if links:
            warn(f"links of {shown} to folders of other classes are passed over: {listed(links)}")
        if loose := loose_images(folder):
            warn(f"{loose} images in {shown} itself are passed over; images are looked for in its class folders")
    return tuple(classes)


def check_classes(train: Path, classes: tuple[str, ...], folder: Path) -> None:
    """Refuses a split other than training that has no class folders, or images of classes that training has not."""
    shown = printable(folder)
    own = [name for name in folders(folder) if holds_images(folder / name)]
    if not own and loose_images(folder):
        raise RequestError(f"{shown} holds images and no class folders; sort them into those of {printable(train)}")
    if not own:
        raise RequestError(f"{shown} holds no images ({', '.join(SUFFIXES)}) in its class folders")
    more = set(own) - set(classes)
    if more:
        raise RequestError(
            f"{shown} has {listed(more)} besides; it must have no other class folders than {printable(train)}"
        )


def listed(names: Iterable[str]) -> str:
    """Up to five names in order, and how many more there are."""
    return some_of(sorted(map(printable, names)), 5)
