"""The commands there are, and how one of them is run."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from zoo.cli import console, options
from zoo.errors import unknown
from zoo.version import __version__

# Files of this folder that are no commands, but what commands are made of.
_PARTS = ("commands", "console", "options")


def command_names() -> list[str]:
    """As they are written: `show-data` is `show_data.py`."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return [file.name.replace("_", "-") for file in files if file.name not in _PARTS]


def find_command(name: str) -> ModuleType:
    """The module of a command.

    Raises:
        RequestError: there is none; the message has the nearest names.
    """
    if name not in command_names():
        raise unknown("command", name, command_names())
    return importlib.import_module(f"zoo.cli.{name.replace('-', '_')}")


def run_command(name: str, program: str, argv: Sequence[str]) -> None:
    """Carries a command out; raises as it does."""
    command = find_command(name)
    parsed = options.parse(command, program, argv)
    if parsed is not None:
        command.main(parsed)


def run_zoo(argv: Sequence[str]) -> None:
    """`python -m zoo`: the first word is the command."""
    if argv and not argv[0].startswith("-"):
        run_command(argv[0], f"python -m zoo {argv[0]}", argv[1:])
        return
    if argv[:1] == ["--version"]:
        print(__version__)
        return
    if argv and argv[0] not in ("-h", "--help"):
        raise unknown("command", argv[0], command_names())
    lines = [(name, find_command(name).__doc__.partition("\n")[0]) for name in command_names()]
    print("usage: python -m zoo COMMAND [ARGUMENT ...] [--flag=value ...]\n")
    column = 2 + max(len(name) for name, _ in lines)
    print("\n".join(options.described(lines, column)))
    print("\npython -m zoo COMMAND --help says more of one.")


def run_train(argv: Sequence[str]) -> None:
    """`train.py`."""
    run_command("train", "train.py", argv)


def zoo() -> None:
    """The console script `zoo`; it ends the process."""
    sys.exit(console.run(run_zoo, sys.argv[1:]))


def zoo_train() -> None:
    """The console script `zoo-train`, and train.py; it ends the process."""
    sys.exit(console.run(run_train, sys.argv[1:]))
