"""Lists published weights, by the nets of the zoo that can take them; of a single one all that is known.

A name goes wherever weights are asked for, and the file is downloaded then. It stays in the cache of the publisher's
own library, so one that timm, torchvision or Keras has brought already is used.
"""

import json
import textwrap
from collections.abc import Sequence
from itertools import groupby
from types import SimpleNamespace
from typing import Any

from zoo import registry
from zoo.cli.options import Argument, Option
from zoo.errors import RequestError, unknown
from zoo.pretrained.catalog import Entry, entries, find_entry, list_weights
from zoo.pretrained.downloading import address, is_here, place

ARGUMENTS = (Argument("pattern", "of weights or of nets, such as 'resnet50*' or 'timm/*', in quotes", default="*"),)
OPTIONS = (Option("json", False, "for machines"),)
HEADINGS = ("", "MB", "licence", "px", "top-1")
LEGEND = (
    "* is here already. ~ is computed from the net's parameters. - is not stated. px is the side of the images that it "
    "is for, top-1 the published accuracy on ImageNet in percent, often on larger images. python -m zoo weights NAME "
    "says all of one; train.py --init_weights=NAME begins with it."
)
# Columns of what is no table: those of an old terminal.
WIDTH = 80


def main(options: SimpleNamespace) -> None:
    """Prints them."""
    found = [find_entry(name) for name in list_weights(options.pattern)]
    if not found and not (options.json and _is_pattern(options.pattern)):
        raise _none_fits(options.pattern)
    if options.json:
        print(json.dumps([_facts(entry) for entry in found], indent=2))
    elif len(found) == 1:
        _print_one(found[0])
    else:
        _print_all(found)


def _is_pattern(text: str) -> bool:
    return not set(text).isdisjoint("*?[")


def _none_fits(pattern: str) -> RequestError:
    nets = {entry.model for entry in entries().values()}
    if _is_pattern(pattern):
        return RequestError(f"no weights fit {pattern!r}; python -m zoo weights shows all of them")
    if pattern in registry.list_models():
        return RequestError(f"no weights of {pattern} are published; python -m zoo weights shows those that are")
    if pattern.rstrip("/") in {name.partition("/")[0] for name in entries()}:
        return RequestError(
            f"{pattern} is a publisher; python -m zoo weights '{pattern.rstrip('/')}/*' shows its weights"
        )
    return unknown("weights", pattern, {*entries(), *nets})


def _facts(entry: Entry) -> dict[str, Any]:
    """As JSON has it; None for what is not known."""
    return vars(entry) | {
        "preprocessing": entry.preprocessing.to_json(),
        "arguments": dict(entry.arguments),
        "megabytes": entry.megabytes or None,
        "address": address(entry),
        "place": str(place(entry)),
        "here": is_here(entry),
    }


def _print_all(found: Sequence[Entry]) -> None:
    """A line for each, under its net; 80 columns are enough."""
    found = sorted(found, key=lambda entry: (entry.model, -entry.num_classes, entry.name))
    rows = [_row(entry) for entry in found]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    heading, first = _line(HEADINGS, widths), True
    for (model, num_classes), group in groupby(
        zip(found, rows, strict=True), key=lambda pair: (pair[0].model, pair[0].num_classes)
    ):
        net = f"{model}, {num_classes} classes" if num_classes else f"{model}, no classifier"
        print(f"{net}{heading[len(net) :]}" if first else net)
        first = False
        for _, row in group:
            print(_line(row, widths))
    print()
    print(textwrap.fill(LEGEND, WIDTH, break_on_hyphens=False))


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        f"{'* ' if is_here(entry) else '  '}{entry.name}",
        _size(entry),
        entry.licence or "-",
        str(entry.preprocessing.image_size),
        "-" if entry.top1 is None else f"{entry.top1:.1f}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Names and licences begin, numbers end, where their column does."""
    padded = [
        cell.ljust(width) if heading in ("", "licence") else cell.rjust(width)
        for cell, width, heading in zip(cells, widths, HEADINGS, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _size(entry: Entry) -> str:
    """In millions of bytes; four bytes for each parameter where the publisher does not state it."""
    if entry.megabytes:
        return f"{entry.megabytes:.0f}"
    return f"~{4 * registry.model_info(entry.model).parameters / 1e6:.0f}"


def _print_one(entry: Entry) -> None:
    print(f"{entry.name}\n")
    for name, text in _described(entry):
        lines = textwrap.wrap(text, WIDTH - 15, break_long_words=False, break_on_hyphens=False)
        for beside, line in zip([name, *[""] * len(lines)], lines, strict=False):
            print(f"{beside:<15}{line}")


def _described(entry: Entry) -> list[tuple[str, str]]:
    """All that is known of an entry, as a person reads it."""
    of_imagenet = " of ImageNet" if entry.classes == "imagenet" else ""
    classes = f"{entry.num_classes} classes{of_imagenet}" if entry.num_classes else "no classifier"
    told = "" if entry.megabytes else " (four bytes for each parameter of the net; the publisher does not state it)"
    rows = [
        ("net", f"{entry.model}, {classes}"),
        ("file", f"{address(entry)}"),
        ("size", f"{_size(entry)} MB{told}"),
        ("digest", entry.digest or "a SHA-256 that the hub states at the download"),
        ("is here" if is_here(entry) else "goes to", str(place(entry))),
        ("licence", entry.licence or "the publisher states none"),
        ("images", _images(entry)),
        ("top-1", "the publisher's list has none" if entry.top1 is None else f"{entry.top1:g} % on ImageNet"),
        ("source", entry.source),
        ("names", f"as in the table {entry.names} of the net's family"),
        ("arguments", " ".join(f"{key}={value}" for key, value in entry.arguments.items())),
        ("note", entry.note),
    ]
    return [(name, text) for name, text in rows if text]


def _images(entry: Entry) -> str:
    done = entry.preprocessing
    crop = f"{done.center_crop:.4g} of the shorter side" if done.center_crop not in (0, 1) else "square"
    mean, deviation = map(_numbers, done.statistics)
    return (
        f"{f'central {crop}' if done.center_crop else 'whole'} to {done.image_size} x {done.image_size}, "
        f"{done.interpolation}; (levels - {mean}) / {deviation}"
    )


def _numbers(numbers: Sequence[float]) -> str:
    """Those of the channels; one where they are all the same."""
    return f"{numbers[0]:g}" if len(set(numbers)) == 1 else f"({', '.join(f'{number:g}' for number in numbers)})"
