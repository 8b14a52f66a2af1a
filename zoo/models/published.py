"""How publishers name the layers of a family's nets: a table per publisher, which stands in the family's file.

Weights are paired by name and never by order, since files are sorted by name and nets by their graph.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Published:
    """The names of one publisher, and what its nets have that the family's own have not.

    A family's file has `PUBLISHED`, a dictionary of these by the publisher: `timm`, `torchvision`, `keras`, and with a
    word more where one publisher has two nets of a name, `timm_legacy`. Those of the zoo's own files are `zoo`, which
    a family needs to write down only where they are not `own_names()`.

    Attributes:
        rules: a regular expression for the names of layers here -> the name of the layer in the file. The first that
            matches in full counts. `{0}`, `{1}` are its groups; a group that is a number may be shifted, `{1:-1}`, and
            so may one that is a single letter, which then counts from a = 0. A `#` stands for a number that says
            nothing: there the n-th layer of the net takes the n-th of the file.
        style: `torch`, whose arrays are called `layer.weight` and have the output channels first, or `keras`, with
            `layer/kernel` and the output channels last.
        arguments: of the builder, without which its outputs would be others; each with its reason in the builder.
        models: patterns of the names of the nets that the table is for.
        ignored: a regular expression for layers of the file that the net may lack, such as auxiliary heads.
        reversed_channels: whether the net takes blue, green and red, so that the first kernel's input channels are
            to be reversed.
        renamed: a regular expression for names of layers in older files -> what the rules call them, written as the
            rules are.
        parts: a variable of a layer here -> its name in the file after that of the layer, where the style has another.
        widened: a regular expression for layers here whose square kernel may be larger than the file's, by a rim that
            becomes zeros. Only where both nets pad with zeros, so that every output keeps its place.
        ends: the layers here that come after the last feature map, the classifier last. A net that is built without
            classifier may lack them.
    """

    rules: Mapping[str, str]
    style: str = "torch"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    models: tuple[str, ...] = ("*",)
    ignored: str = r"(?!)"
    reversed_channels: bool = False
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    widened: str = r"(?!)"
    ends: tuple[str, ...] = ("logits",)


def own_names(*ends: str) -> Published:
    """The names in the files that the zoo itself writes: those of the layers and of their variables.

    Args:
        *ends: see `Published.ends`; none: the classifier is `logits` and follows the last feature map.
    """
    rules = {r"(.*)": "{0}"}
    return Published(rules, style="keras", ignored=r"aux\d.*", ends=ends or ("logits",))


def translate(name: str, rules: Mapping[str, str]) -> str | None:
    """What the first rule that matches a name in full makes of it; None where none matches."""
    for pattern, template in rules.items():
        match = re.fullmatch(pattern, name)
        if match:
            return template.format(*map(_Group, match.groups("")))
    return None


def numbered(template: str, names: Iterable[str]) -> list[str]:
    """Those of some names that a template with `#` stands for, in the order of their numbers.

    Keras leaves the number of the first layer of a kind out: `conv2d_#` is `conv2d`, `conv2d_1`, ...
    """
    pattern = re.escape(template).replace(r"_\#", r"(?:_\d+)?").replace(r"\#", r"\d+")
    return sorted(filter(re.compile(pattern).fullmatch, names), key=_by_number)


class _Group(str):
    """A group of a match; in a template `{0:+2}` shifts its number, or its letter's place in the alphabet."""

    def __format__(self, shift: str) -> str:
        if not shift:
            return str(self)
        number = int(self) if self.isdigit() else ord(self) - ord("a")
        return str(number + int(shift))


def _by_number(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
