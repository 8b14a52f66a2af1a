"""The house: what imports what, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / "zoo").rglob("*.py")), ROOT / "train.py"]

# Room -> the rooms of the zoo that it may import. Arrows point down only.
CONFIG = {"zoo.config", "zoo.errors", "zoo.frameworks", "zoo.processor", "zoo.version"}
BASE = {*CONFIG, "zoo.data", "zoo.metrics", "zoo.registry", "zoo.tasks", "zoo.tasks.known"}
KEEPING = {*BASE, "zoo.places", "zoo.places.place", "zoo.places.cluster", "zoo.runs"}
ROOMS = {
    "zoo.errors": set(),
    "zoo.version": set(),
    "zoo.layers": set(),
    "zoo.metrics": set(),
    "zoo.waiting": set(),
    "zoo.processor": {"zoo.errors"},
    "zoo.frameworks": {"zoo.errors", "zoo.processor"},
    "zoo.build_arguments": {"zoo.errors"},
    # A config is refused for a model or a task that there is not; both lists are known without TensorFlow.
    "zoo.config": {"zoo.config", "zoo.errors", "zoo.registry", "zoo.tasks.known"},
    "zoo.model_index": set(),
    # The layers when a saved model is loaded.
    "zoo.registry": {
        *("zoo.build_arguments", "zoo.errors", "zoo.frameworks", "zoo.processor", "zoo.model_index", "zoo.layers"),
    },
    # A family may build on another one's blocks, as Wide ResNet does on ResNet-v2's.
    "zoo.models": {"zoo.models", "zoo.layers", "zoo.registry", "zoo.errors"},
    "zoo.data": {"zoo.data", "zoo.config", "zoo.errors"},
    "zoo.tasks.known": {"zoo.errors", "zoo.registry"},
    "zoo.tasks": {
        "zoo.tasks",
        "zoo.tasks.known",
        "zoo.data",
        "zoo.metrics",
        "zoo.registry",
        "zoo.config",
        "zoo.errors",
    },
    "zoo.places.cluster": {"zoo.errors"},
    "zoo.places.place": {"zoo.places.cluster", "zoo.errors"},
    "zoo.places": {"zoo.places", "zoo.places.place", "zoo.places.cluster", "zoo.errors"},
    "zoo.runs": {"zoo.runs", "zoo.data", "zoo.registry", "zoo.tasks.known", *CONFIG},
    # How others name the layers of a family stands with the family.
    "zoo.pretrained": {
        *("zoo.pretrained", "zoo.models", "zoo.layers", "zoo.registry", "zoo.tasks.known", "zoo.waiting"),
        *("zoo.runs", "zoo.data", *CONFIG),
    },
    "zoo.training.engines.tensorflow": {"zoo.training", "zoo.training.engines.tensorflow", "zoo.layers", *KEEPING},
    "zoo.training": {"zoo.training", "zoo.training.engines.tensorflow", "zoo.layers", "zoo.waiting", *KEEPING},
    "zoo.baselines": {"zoo.baselines", "zoo.runs", "zoo.config", "zoo.errors"},
    "zoo.use": {"zoo.use", "zoo.training", *KEEPING},
    "zoo.analysis": {"zoo.analysis", "zoo.baselines", "zoo.training", *KEEPING},
    "zoo.cli.console": {"zoo.errors", "zoo.frameworks", "zoo.waiting"},
    "zoo.cli": {
        "zoo.cli",
        "zoo.cli.console",
        "zoo.waiting",
        "zoo.version",
        "zoo.baselines",
        "zoo.analysis",
        "zoo.training",
        *KEEPING,
    },
    "zoo.__main__": {"zoo.cli"},
    "zoo": {*CONFIG, "zoo.places.place", "zoo.registry", "zoo.runs", "zoo.training", "zoo.use"},
    "train": {"zoo.cli"},
}
# Room -> packages beside the standard library that it may import. Models know Keras and nothing else.
PACKAGES = {
    "zoo.layers": {"keras", "tensorflow"},
    "zoo.metrics": {"numpy"},
    "zoo.frameworks": {"keras", "tensorflow"},
    "zoo.tasks": {"keras", "numpy"},
    "zoo.config": {"absl"},
    "zoo.registry": {"keras"},
    "zoo.models": {"keras"},
    "zoo.data": {"numpy", "tensorflow", "tensorflow_datasets", "sklearn", "scipy", "PIL", "matplotlib", "tqdm"},
    "zoo.training": {"keras", "numpy", "tensorboard", "tqdm"},
    "zoo.training.engines.tensorflow": {"keras", "numpy", "tensorflow"},
    "zoo.analysis": {"keras", "numpy", "matplotlib"},
    "zoo.places": {"numpy", "tensorflow"},
    "zoo.places.place": set(),
    "zoo.places.cluster": set(),
    "zoo.runs": {"filelock", "keras", "numpy"},
    "zoo.pretrained": {"h5py", "huggingface_hub", "keras", "numpy", "tensorflow_datasets", "tqdm"},
    "zoo.use": {"keras", "numpy", "tensorflow"},
    "zoo.baselines": {"scipy"},
    "zoo.cli": {"absl"},
}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_of(file): file for file in [*FILES, *sorted((ROOT / "benchmarks").rglob("*.py"))]}


def room_of(module: str) -> str:
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len)


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                # `from zoo.data import images` imports zoo.data.images, `from zoo.errors import unknown` zoo.errors.
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES or node.module == "zoo" else node.module)
    return found


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_arrows_point_down(file):
    room = room_of(module_of(file))
    for module in imports_of(file):
        top = module.partition(".")[0]
        if top == "zoo":
            assert room_of(module) in ROOMS[room], f"{module_of(file)} must not import {module}"
        elif top not in sys.stdlib_module_names:
            assert top in PACKAGES.get(room, ()), f"{module_of(file)} must not import {module}"


def test_the_arrow_test_sees_a_wrong_arrow(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def late():\n    from zoo import data\n    import numpy.linalg\n")
    assert imports_of(wrong) == {"zoo.data", "numpy.linalg"}
    assert room_of("zoo.models.functional.resnet_cifar") == "zoo.models"


def circles_of(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others, wherever in a file they do so."""
    reached = {module: set(others) for module, others in imports.items()}
    for middle in imports:
        for module in imports:
            if middle in reached[module]:
                reached[module] |= reached[middle]
    groups = {
        tuple(sorted({module} | {other for other in reached[module] if module in reached.get(other, ())}))
        for module in imports
        if module in reached[module]
    }
    return sorted(map(list, groups))


def test_no_circle_of_files():
    # The packages' own files `zoo` and `benchmarks` are run by whatever is imported from them.
    imports = {module: (imports_of(file) & {*MODULES}) - {module, "zoo"} for module, file in MODULES.items()}
    assert circles_of(imports) == []


def test_the_circle_test_sees_one():
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles_of(imports) == [["b", "c"]]
    assert circles_of({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_nothing_is_too_long_to_read(file):
    """A function fits on a screen, a class on a few, a file is read in one go."""
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        most = {ast.FunctionDef: 60, ast.ClassDef: 200}.get(type(node))
        if most:
            assert node.end_lineno - node.lineno < most, f"{node.name} is {node.end_lineno - node.lineno + 1} lines"


@pytest.mark.parametrize(
    "code",
    [
        "import zoo",
        "import sys; sys.argv = ['train.py', '--help']; import runpy\n"
        "try: runpy.run_path('train.py', run_name='__main__')\n"
        "except SystemExit as error: assert error.code == 0",
    ],
    ids=["import zoo", "train.py --help"],
)
def test_imports_no_tensorflow(code):
    code += "\nimport sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_command_imports_no_more_than_it_needs():
    # What Keras takes along where it is installed; it can be imported all the same.
    code = (
        "import gc, sys; from zoo.cli import console; console.import_tensorflow()\n"
        "assert not {'sklearn', 'matplotlib'} & {*sys.modules}, 'imported'\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 100_000, 'collected'\n"
        "import matplotlib, sklearn\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
