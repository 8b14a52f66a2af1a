"""docs/sequential_or_functional.md: its code runs, its outputs are the real ones, its links lead somewhere.

In it, a python block that prints is followed by a text block with what it prints, and a console block begins with a
command of `python -m zoo`. A python block that begins with `# name.py` is also a module for the commands.
"""

import contextlib
import io
import itertools
import re
import shlex
import sys
from pathlib import Path

import pytest

import zoo
from zoo.cli import console
from zoo.cli.commands import run_zoo

FILE = Path(__file__).parents[1] / "docs" / "sequential_or_functional.md"
TEXT = FILE.read_text()
# Kind, content, and the line on which the content begins.
BLOCKS = [
    (block[1], block[2], TEXT.count("\n", 0, block.start(2)) + 1)
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
]
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
MODULES = {block.split()[1]: block for kind, block, _ in BLOCKS if kind == "python" and block.startswith("# ")}
COMMANDS = [(block, line) for kind, block, line in BLOCKS if kind == "console"]


def test_the_code_runs_from_top_to_bottom_and_prints_what_is_shown():
    namespace = {"__name__": "sequential_or_functional"}
    for (kind, code, line), (next_kind, shown, _) in itertools.pairwise([*BLOCKS, ("", "", 0)]):
        if kind != "python":
            continue
        # Lines before it, so that a traceback names those of the document.
        compiled = compile("\n" * (line - 1) + code, str(FILE), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compiled, namespace)
        assert printed.getvalue() == (shown if next_kind == "text" else ""), f"{FILE.name}:{line}"


def test_every_output_has_its_code():
    kinds = [kind for kind, _, _ in BLOCKS]
    assert set(kinds) == {"", "python", "text", "console"}
    assert all(before == "python" for before, kind in itertools.pairwise(kinds) if kind == "text")


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Stands in a folder with the modules that the document writes."""
    for name, code in MODULES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in MODULES:
        sys.modules.pop(Path(name).stem, None)


@pytest.mark.parametrize("block", [pytest.param(block, id=f"line {line}") for block, line in COMMANDS])
def test_the_commands_print_what_is_shown(block, modules, capsys):
    command, shown = block.split("\n", 1)
    words = shlex.split(command.removeprefix("$ "))
    words, pipe = (words[: words.index("|")], words[words.index("|") + 1 :]) if "|" in words else (words, [])
    assert words[:3] == ["python", "-m", "zoo"]
    assert console.run(run_zoo, words[3:]) == 0
    lines = capsys.readouterr().out.splitlines(keepends=True)
    if pipe:
        program, option, count = pipe
        assert option == "-n"
        lines = {"head": lines[: int(count)], "tail": lines[-int(count) :]}[program]
    assert "".join(lines) == shown


def test_the_table_of_models_quotes_their_files():
    rows = re.findall(r"^\| (`.+`) \| (Sequential|Functional) \| (.+) \|$", PROSE, re.MULTILINE)
    named = [(name, style, why) for names, style, why in rows for name in re.findall(r"`(\w+)`", names)]
    assert len(named) > 20
    for name, style, why in named:
        info = zoo.model_info(name)
        first_line = sys.modules[info.builder.__module__].__doc__.split("\n")[0]
        assert first_line.startswith(f"{style}: "), name
        assert why in first_line, name
        assert info.style == style.lower()


def test_links_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", PROSE, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    targets = re.findall(r"\]\(([^)]+)\)", PROSE)
    assert len(targets) > 10
    for target in targets:
        assert target[1:] in anchors if target.startswith("#") else (FILE.parent / target).exists(), target


def test_every_row_of_the_differences_has_its_example():
    table = PROSE.split("## The differences")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and not row.startswith("| |")]
    assert len(rows) == 11
    assert all(re.search(r"\| \[[^|]+\]\(#[^|]+\) \|$", row) for row in rows)
