"""Lines that say what went wrong fit on a screen."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a value takes, more or less: a name, a number.
VALUE = "x" * 8


def words(node):
    """The text of an expression, `VALUE` in place of what is known only when it is raised."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(words, node.values))
    if isinstance(node, ast.BinOp):
        return words(node.left) + words(node.right)
    return VALUE


@pytest.mark.parametrize("file", sorted((ROOT / "zoo").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_messages_are_at_most_160_characters(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("RequestError", "RunError") and node.args:
            assert len(words(node.args[0])) <= 160, words(node.args[0])
