"""A box of a drawing, see `zoo.analysis.nets.diagram`."""

import dataclasses

# In pixels; a letter's width is an estimate for sans-serif of FONT.
FONT, LETTER, LINE, PASSING = 12, 6.6, 16, 16


@dataclasses.dataclass(eq=False)
class Box:
    """A box of the drawing; one without lines of text is where a line passes a row.

    Attributes:
        lines: of text.
        kind: `weights`, `joins`, `plain`, or `end` for the shapes that stand at both ends.
        sources: the boxes that it takes its tensors from, in order.
        size: of the tensor that it puts out, as text.
        note: what stands beside it at the right of the drawing.
        x: of its middle.
        row: from the top.
        top: where it begins.
        bottom: where it ends.
    """

    lines: list[str]
    kind: str
    sources: list["Box"]
    size: str = ""
    note: str = ""
    x: float = 0.0
    row: int = 0
    top: float = 0.0
    bottom: float = 0.0

    @property
    def width(self) -> float:
        """In pixels."""
        return max((LETTER * len(line) for line in self.lines), default=0.0) + (20 if self.lines else PASSING)

    @property
    def height(self) -> float:
        """In pixels."""
        return LINE * len(self.lines) + 8 if self.lines else 0.0
