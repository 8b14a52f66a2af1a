"""How every command is called: flags as absl has them, `--name=value`, with near names for a wrong one.

What stands beside flags are the command's arguments. `--help` shows all of them.
"""

import dataclasses
import math
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from absl import flags

from zoo import config
from zoo.config import FIELDS, ExperimentConfig, define_flags, load_config, with_flags
from zoo.errors import RequestError, unknown


@dataclasses.dataclass(frozen=True)
class Option:
    """A flag of a command.

    Attributes:
        name: as it is written.
        default: what it is unless it is given; its type is the flag's.
        help: what it says of itself.
        kind: the flag's type where the default is None.
        choices: what it may be; empty: anything.
        least: of a number.
    """

    name: str
    default: str | int | float | bool | None
    help: str
    kind: type = str
    choices: tuple[str, ...] = ()
    least: float | None = None

    def define(self, values: flags.FlagValues) -> None:
        """Adds the flag."""
        kind = self.kind if self.default is None else type(self.default)
        define = {
            str: flags.DEFINE_string,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            bool: flags.DEFINE_boolean,
        }[kind]
        define(self.name, self.default, self.help, flag_values=values)

    def check(self, value: Any) -> None:
        """Raises a `RequestError` unless the flag may have this value."""
        if self.choices and value is not None and value not in self.choices:
            raise unknown(self.name, value, self.choices)
        if self.least is not None and value is not None and not self.least <= value < math.inf:
            raise RequestError(f"{self.name} is {value}; it must be at least {self.least:g}")


# Of the lines of help.
WIDTH = 100
# The default of an argument that has none.
REQUIRED = object()


@dataclasses.dataclass(frozen=True)
class Argument:
    """What is given beside flags.

    Attributes:
        name: of it.
        help: what it says of itself.
        default: where it may be left out; `REQUIRED`: it may not.
        several: whether it takes all that is left.
    """

    name: str
    help: str
    default: Any = REQUIRED
    several: bool = False

    @property
    def usage(self) -> str:
        """As it stands in a line that says how to call a command."""
        name = f"{self.name}..." if self.several else self.name
        return name if self.default is REQUIRED else f"[{name}]"


DATA_DIR = Option("data_dir", "", "where datasets are prepared; default: that of tensorflow_datasets")
MEMORY_GIB = Option(
    "memory_gib",
    config.MEMORY_GIB,
    "a split that takes less is held in memory; the result does not depend on it",
    least=0,
)
# Of a command that takes every field of a config as a flag too.
CONFIG = Option("config", "", "config file, such as configs/resnet20_digits.py; it is run, so trust it")


def parse(command: ModuleType, program: str, argv: Sequence[str]) -> SimpleNamespace | None:
    """Reads a command's arguments.

    Args:
        command: see `zoo.cli`.
        program: how it was called.
        argv: without the program's name.

    Returns:
        Options and arguments by name; `fields`, where the command takes those of a config: what turns a config into
        the one that the flags ask for; `argv`. None where help was asked for, which is printed.

    Raises:
        RequestError: a flag is unknown or has a wrong value, or an argument is missing or too much.
    """
    values = flags.FlagValues()
    # Flags may stand before and behind arguments.
    values.set_gnu_getopt(True)
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    for option in command.OPTIONS:
        option.define(values)
    if CONFIG in command.OPTIONS:
        define_flags(values)
    try:
        words = values([program, *argv])[1:]
    except flags.Error as error:
        raise RequestError(f"{error}; see {program} --help") from error
    if values.help:
        print(help_text(command, program))
        return None
    for option in command.OPTIONS:
        option.check(values[option.name].value)
    options = SimpleNamespace(**{option.name: values[option.name].value for option in command.OPTIONS})
    vars(options).update(_arguments(command.ARGUMENTS, program, words), argv=list(argv))
    if CONFIG in command.OPTIONS:
        options.fields = lambda config: with_flags(config, values)
    return options


def config_of(options: SimpleNamespace) -> ExperimentConfig:
    """The config that a command's flags ask for: the file's, or the default one, with the fields that were given."""
    return options.fields(load_config(options.config) if options.config else ExperimentConfig())


def output_file(name: str, text: str) -> Path:
    """The path of a file that a command is to write, checked before anything is computed.

    Args:
        name: of the flag.
        text: its value.

    Raises:
        RequestError: there is no such folder.
    """
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise RequestError(f"{name} is {text!r}, and there is no folder {path.parent}")
    return path


def _arguments(arguments: Sequence[Argument], program: str, given: list[str]) -> dict[str, Any]:
    """What was given beside flags, by name."""
    found: dict[str, Any] = {}
    for argument in arguments:
        if not given and argument.default is REQUIRED:
            raise RequestError(f"{argument.name} is missing; see {program} --help")
        if argument.several:
            found[argument.name], given = given, []
        else:
            found[argument.name] = given.pop(0) if given else argument.default
    if given:
        written = f"--config={given[0]}" if given[0].endswith(".py") else "--name=value"
        raise RequestError(f"what is {given[0]!r}? flags are written as {written}; see {program} --help")
    return found


def help_text(command: ModuleType, program: str) -> str:
    """The docstring, every argument, and every flag with its choices and its default, in groups; lines of WIDTH."""
    usage = " ".join(["usage:", program, *(argument.usage for argument in command.ARGUMENTS), "[--flag=value ...]"])
    lines = [usage]
    for paragraph in command.__doc__.strip().split("\n\n"):
        lines += ["", *textwrap.wrap(paragraph, WIDTH, break_on_hyphens=False)]
    if command.ARGUMENTS:
        lines += ["", "Arguments:", *_described([(argument.name, argument.help) for argument in command.ARGUMENTS])]
    lines += ["", "Options:", *_described([_flag(option, option.help, option.choices) for option in command.OPTIONS])]
    if CONFIG in command.OPTIONS:
        for field in FIELDS.values():
            if field.metadata["group"]:
                lines += ["", f"{field.metadata['group']}:"]
            lines += _described([_flag(field, field.metadata["help"], field.metadata["choices"] or ())])
    return "\n".join(lines)


def _flag(flag: Option | dataclasses.Field, text: str, choices: Sequence[str]) -> tuple[str, str]:
    """A flag as it is written, and what it says of itself, with what it may be where the text does not say so."""
    # An empty choice is the default, which is not shown.
    named = [choice for choice in choices if choice]
    if not set(named) <= set(re.findall(r"\w+", text)):
        text += f"; one of {', '.join(named)}"
    shown = "" if flag.default in ("", None, dataclasses.MISSING) else f" [{flag.default}]"
    return f"--{flag.name}", f"{text}{shown}"


def _described(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lines with a name at the left and its text beside it."""
    return described([(f"  {name}", text) for name, text in rows], column=29)


def described(rows: Sequence[tuple[str, str]], column: int) -> list[str]:
    """Lines of at most WIDTH columns: names at the left, and beside each its text, in as many lines as it needs.

    Args:
        rows: names and texts.
        column: where the texts begin; no name is as long.
    """
    lines = []
    for name, text in rows:
        parts = textwrap.wrap(text, WIDTH - column, break_long_words=False, break_on_hyphens=False)
        lines += [f"{beside:<{column}}{part}" for beside, part in zip([name, *[""] * len(parts)], parts, strict=False)]
    return lines


def print_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Prints rows in columns as wide as they need to be; the columns of `right` hold numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def progress(what: str, text: str) -> None:
    """A line for who waits."""
    print(f"{what}: {text}", file=sys.stderr, flush=True)
