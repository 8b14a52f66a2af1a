"""README and the pages of docs/: commands are understood, links lead somewhere, what they list is what there is."""

import re
from pathlib import Path

import commands
import pytest

import zoo
from zoo.cli import console, train
from zoo.cli.commands import command_names, find_command
from zoo.config import FIELDS

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))}
TEXTS = {page: path.read_text(encoding="utf-8") for page, path in PAGES.items()}
# Pages of whose flags each is one of a command of the zoo.
GUIDES = ("training", "data", "tasks", "reproducing", "devices", "speed", "contributing")
COMMANDS = [(page, command) for page, text in TEXTS.items() for command in commands.shown_commands(text)]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_the_commands_are_understood(page, command):
    commands.check_command(command)


def test_commands_are_found_wherever_they_stand():
    text = (
        "    python train.py --epochs=1\n\nSay `python -m zoo\nlist`.\n\n"
        "```bash\nsrun python train.py \\\n  --seed=1\n```\n"
        "```console\n$ python -m zoo inspect mlp | head -n 1\npython, not a command\n```\n"
        "```python\npython -m none\n```\n"
    )
    assert commands.shown_commands(text) == [
        "python train.py --seed=1",
        "python -m zoo inspect mlp",
        "python train.py --epochs=1",
        "python -m zoo list",
    ]
    assert {page for page, _ in COMMANDS} >= {"README.md", *(f"docs/{page}.md" for page in GUIDES)}


@pytest.mark.parametrize(
    "wrong",
    [
        "python train.py --epoch=1",
        "python train.py --config=configs/none.py",
        "python -m zoo shw-data",
        "python -m zoo inspect resnet21",
        "python -m zoo compare results/none.json",
        "python -m benchmarks --rouns=1",
        "python -m benchmarks.none",
        "python -m pytest tests/none.py",
        "python -m pip install -e .[none]",
    ],
)
def test_a_wrong_command_is_seen(wrong):
    with pytest.raises((ValueError, AssertionError)):
        commands.check_command(wrong)


def anchors(text):
    headings = re.findall(r"^#+ (.+)$", commands.prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", commands.prose(TEXTS[page])):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = PAGES[page].parent / path if path else PAGES[page]
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/\w+\.md)\)", TEXTS["README.md"]))
    # These two are read from the pages that sum them up.
    within = {"docs/same_result.md", "docs/same_accuracy.md"}
    assert linked | within == {page for page in PAGES if re.fullmatch(r"docs/\w+\.md", page)}


@pytest.mark.parametrize("name", [*GUIDES, "scaling", "performance"])
def test_a_page_begins_with_who_needs_it(name):
    title, empty, first, *_ = TEXTS[f"docs/{name}.md"].split("\n")
    assert title.startswith("# ")
    assert not empty
    assert first.startswith("For whoever ")


def test_the_example_architecture_keeps_the_contract(monkeypatch):
    zoo.list_models()
    monkeypatch.setattr(zoo.registry, "_MODELS", dict(zoo.registry._MODELS))
    (code,) = re.findall(r"```python\n(.*?)```", TEXTS["docs/contributing.md"], re.DOTALL)
    exec(code, {"__name__": "zoo.models.sequential.linear"})
    assert zoo.model_info("linear").style == "sequential"
    assert zoo.build_model("linear").count_params() == zoo.model_info("linear").parameters


def known_flags():
    flags = {option.name for name in command_names() for option in find_command(name).OPTIONS}
    # Of the benchmarks and of TensorBoard.
    return {*flags, *FIELDS, "help", "peer_python", "logdir"}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in GUIDES)])
def test_every_flag_is_one(page):
    named = re.findall(r"(?<![\w-])--(\w+)", TEXTS[page])
    assert {*named} <= known_flags()


def test_every_flag_of_training_is_explained():
    text = TEXTS["docs/training.md"]
    for name in [*FIELDS, *(option.name for option in train.OPTIONS)]:
        assert re.search(rf"^\|.*`--{name}`.*\| .+ \|$", text, re.MULTILINE), name


def test_exit_statuses_are_those_of_the_console():
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", TEXTS["docs/training.md"], re.MULTILINE)
    statuses = [console.DONE, console.FAILED, console.WRONG_REQUEST, console.STOPPED_BY_KEYBOARD, 128 + 15]
    assert [int(status) for status, _ in rows] == statuses


def test_every_command_file_and_folder_is_named_in_the_house():
    text = TEXTS["docs/contributing.md"]
    line = re.search(r"^  cli/ .*: (.*)$", text, re.MULTILINE)[1]
    assert sorted(line.split(", ")) == sorted(command_names())
    for file in (ROOT / "zoo").glob("*.py"):
        if file.stem not in ("__init__", "__main__", "version"):
            assert file.name in text, file.name
    # Every folder of the zoo has its line.
    for folder in (ROOT / "zoo").rglob("__init__.py"):
        name = folder.parent.relative_to(ROOT / "zoo").as_posix()
        if name not in (".", "analysis", "models", "data", "training/engines/tensorflow"):
            assert re.search(rf"^  {name}/ ", text, re.MULTILINE), name


def test_tasks_are_those_there_are():
    from zoo.tasks.known import task_names

    assert re.findall(r"^\| `(\w+)` \|", TEXTS["docs/tasks.md"], re.MULTILINE) == task_names()
