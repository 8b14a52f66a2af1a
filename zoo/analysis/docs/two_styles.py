"""The picture at the top of the README: a net that is one path beside a block that is not, from their graphs."""

import re

from zoo import registry
from zoo.analysis.nets import diagram, graph

# From the top of the repository.
FILE = "docs/two_styles.svg"
# Title, model, the beginning of the names of the layers that are drawn, and what the drawing shows.
HALVES = (
    ("Sequential", "simple_cnn", "", "one path: simple_cnn"),
    ("Functional", "resnet20", "stage1_block1_", "two paths: a resnet20 block"),
)
# The families whose nets are drawn.
FAMILIES = ("simple_cnn", "resnet_cifar")
# In pixels: the height of the lines above the drawings.
HEAD = 52


def drawn() -> str:
    """An SVG that stands for itself, in light and in dark, hardly wider than a telephone, on which it stays legible."""
    halves = [_half(name, piece) for _, name, piece, _ in HALVES]
    width = sum(half_width for _, half_width, _ in halves)
    height = HEAD + max(half_height for *_, half_height in halves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="{diagram.FONT}" text-anchor="middle">',
        "<title>Sequential is one path of layers; Functional is any graph</title>",
        f"<style>{diagram.STYLE}</style>",
        '<rect class="paper" width="100%" height="100%" rx="8"/>',
    ]
    left = 0
    for (title, _, _, shows), (drawing, half_width, half_height) in zip(HALVES, halves, strict=True):
        middle = left + half_width // 2
        top = HEAD + (height - HEAD - half_height) // 2
        parts += [
            f'<text x="{middle}" y="24" font-size="15" font-weight="600">{title}</text>',
            f'<text x="{middle}" y="43">{shows}</text>',
            f'<g transform="translate({left} {top})">{drawing}</g>',
        ]
        left += half_width
    return "\n".join([*parts, "</svg>\n"])


def _half(name: str, piece: str) -> tuple[str, int, int]:
    """What is drawn of a model, without the SVG around it, and its width and height."""
    with graph.without_weights(), graph.fresh_names():
        whole = diagram.draw(registry.build_model(name), piece)
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', whole).groups())
    # The shapes alone: the paper, the style and the title are those of the whole picture.
    shapes = whole[whole.index("<path ") : whole.index("</svg>")]
    return f"\n{shapes}", width, height
