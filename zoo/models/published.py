"""How publishers name the layers of a family's nets: a table per publisher, which stands in the family's file.

Weights are paired by name and never by order, since files are sorted by name and nets by their graph.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Published:
    """The names of one publisher, and what its nets have that the family's own have not.

    A family's file has `PUBLISHED`, a dictionary of these by the publisher: `timm`, `torchvision`, `keras`, and with a
    word more where one publisher has two nets of a name, `timm_legacy`.

    Attributes:
        rules: a regular expression for the names of layers here -> the name of the layer in the file. The first that
            matches in full counts. `{0}`, `{1}` are its groups; a group that is a number may be shifted, `{1:-1}`. A
            `#` stands for a number that says nothing: there the n-th layer of the net takes the n-th of the file.
        style: `torch`, whose arrays are called `layer.weight` and have the output channels first, or `keras`, with
            `layer/kernel` and the output channels last.
        arguments: of the builder, without which its outputs would be others; each with its reason in the builder.
        models: patterns of the names of the nets that the table is for.
        ignored: a regular expression for layers of the file that the net may lack, such as auxiliary heads.
        reversed_channels: whether the net takes blue, green and red, so that the first kernel's input channels are
            to be reversed.
    """

    rules: Mapping[str, str]
    style: str = "torch"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    models: tuple[str, ...] = ("*",)
    ignored: str = r"(?!)"
    reversed_channels: bool = False
