"""The commands that a page shows, and whether their programs would take them."""

import configparser
import importlib.util
import re
import shlex
from pathlib import Path

import benchmarks.__main__
from zoo import baselines, registry
from zoo.cli import options, train
from zoo.cli.commands import find_command

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What stands for something that the reader puts there.
PLACEHOLDERS = {"NAME", "PATH", "DIR", "COMMAND", "RUN", "WORK"}


def prose(text):
    """What of a page stands in no fence."""
    return FENCE.sub("", text)


def shown_commands(text):
    """The commands of a page that begin with `python`: in fences, in lines that are moved in, and in the text."""
    text = re.sub(r"\s*\\\n\s*", " ", text)
    blocks = "\n".join(block for kind, block in FENCE.findall(text) if kind != "python")
    blocks += "\n" + "\n".join(re.findall(r"^    (?=\S).*$", prose(text), re.MULTILINE))
    found = [
        # The last quotation mark may be that of a longer command around this one.
        re.sub(r'^((?:[^"]*"[^"]*")*[^"]*)"$', r"\1", part[part.index("python") :].strip())
        for line in blocks.splitlines()
        for part in re.split(r"&&|\|", line)
        if re.search(r"(?:^|\s)python (?:-m|train\.py)", part)
    ]
    return found + [" ".join(span.split()) for span in re.findall(r"`(python (?:-m|train\.py)[^`]*)`", prose(text))]


def check_command(command):
    """Raises unless the command's program takes its words, and the files, models and recipes that they name exist."""
    words = shlex.split(command)[1:]
    program, given = (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])
    if program == "train.py":
        check_train(given)
    elif program == "zoo":
        check_zoo(*given)
    elif program == "benchmarks":
        benchmarks.__main__.parse(given)
    elif program == "pytest":
        assert all((ROOT / word).exists() or word in ("-m", "slow", "gpu") for word in given)
    elif program == "pip":
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        assert given[:2] == ["install", "-e"]
        assert given[2] in (".", *(f".[{extra}]" for extra in setup["options.extras_require"]))
    else:
        assert importlib.util.find_spec(program), program


def check_train(given):
    parsed = options.parse(train, "train.py", given)
    if parsed is None:  # help
        return
    if parsed.worker_hosts or parsed.strategy != "multi_worker_mirrored":  # else the environment has the hosts
        train.place_of(parsed)
    train.steps_to_profile(parsed.profile_steps)
    if parsed.mode != "evaluate":
        options.config_of(parsed)


def check_zoo(name="", *given):
    command = find_command(name) if name else None
    if not given:  # in the text a command may be named alone
        return
    parsed = options.parse(command, name, given)
    if hasattr(parsed, "fields"):
        options.config_of(parsed)
    for word in [word for word in given if not word.startswith("--") and word not in PLACEHOLDERS]:
        if name == "inspect" and not registry.is_users_own(word):
            registry.model_info(word)
        elif name == "reproduce":
            assert baselines.find(word), word
        elif name in ("report", "compare"):
            assert word.startswith("runs/") or (ROOT / word).exists(), word
