import copy
import importlib
import importlib.metadata
import inspect
import pickle
import shutil
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo import model_index, registry
from zoo.errors import RequestError
from zoo.models import functional

ROOT = Path(__file__).parents[1]


@pytest.fixture
def scratch_registry(monkeypatch):
    """A copy of the registry that the test may add to."""
    zoo.list_models()
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))


def register(name, module="somewhere.else", **kwargs):
    def builder(input_shape, num_classes, *, width=3):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(width)])

    builder.__name__, builder.__module__ = name, module
    facts = {"paper": "Nobody 2000", "input_shape": (4,), "num_classes": 2, "parameters": 15, **kwargs}
    return zoo.register_model(**facts)(builder)


def test_a_name_registered_twice_is_refused_and_says_by_whom(scratch_registry):
    with pytest.raises(ValueError, match=r"'lenet5' is registered already, by zoo\.models\.sequential\.lenet"):
        register("lenet5")


def test_a_name_registered_twice_by_one_file_is_refused(scratch_registry):
    register("third")
    with pytest.raises(ValueError, match=r"'third' is registered already, by somewhere\.else"):
        register("third")


BROKEN = """
from zoo.registry import register_model

@register_model(paper="Nobody 2000", input_shape=(4,), num_classes=2, parameters=15)
def halfway(input_shape, num_classes):
    pass

raise ImportError("no such thing")
"""


def test_a_family_that_cannot_be_imported_says_why_every_time(scratch_registry, monkeypatch, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    monkeypatch.setattr(functional, "__path__", [*functional.__path__, str(tmp_path)])
    monkeypatch.setattr(model_index, "read", lambda: None)
    monkeypatch.setattr(registry, "_discovered", False)
    for _ in range(3):
        with pytest.raises(ImportError, match="no such thing"):
            zoo.list_models()
    with pytest.raises(ImportError, match="no such thing"):
        importlib.import_module("zoo.models.functional.broken")
    # What was registered before the failure is not taken for a builder.
    with pytest.raises(ImportError, match="no such thing"):
        registry._MODELS["halfway"].builder((4,), 2)


def test_style_and_family_follow_from_the_place(scratch_registry):
    register("third", module="package.models.functional.thirds")
    assert (zoo.model_info("third").style, zoo.model_info("third").family) == ("functional", "thirds")
    register("homeless", module="package.thing")
    assert (zoo.model_info("homeless").style, zoo.model_info("homeless").family) == (None, "thing")


def test_list_models_filters(scratch_registry):
    register("matcher", task="matching")
    assert zoo.list_models("resnet?4") == ["resnet34", "resnet44"]
    assert "resnet20" in zoo.list_models(style="functional")
    assert "resnet20" not in zoo.list_models(style="sequential")
    assert zoo.list_models(task="matching") == ["matcher"]
    assert zoo.list_models() == sorted(zoo.list_models())
    with pytest.raises(ValueError, match="unknown style 'sequentiel'; did you mean sequential"):
        zoo.list_models(style="sequentiel")


def test_unknown_model_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown model 'resnet2O'; did you mean .*resnet20"):
        zoo.build_model("resnet2O")
    with pytest.raises(ValueError, match="unknown model"):
        zoo.model_info("zzz")


def test_unknown_hyperparameter_names_those_there_are():
    with pytest.raises(ValueError, match="unknown hyperparameter of mlp 'hiden_sizes'; did you mean hidden_sizes"):
        zoo.build_model("mlp", hiden_sizes=[3])
    with pytest.raises(ValueError, match="unknown hyperparameter of resnet20 'width'; there is features, shortcut"):
        zoo.build_model("resnet20", width=3)
    with pytest.raises(ValueError, match="batch_norm of mlp is 'no'; it must be true or false"):
        zoo.build_model("mlp", batch_norm="no")
    with pytest.raises(ValueError, match="unknown hyperparameter of resnet20 'depth'"):
        zoo.build_model("resnet20", depth=32)


FRACTIONS = [
    (name, key)
    for name in zoo.list_models()
    for key, default in zoo.model_info(name).hyperparameters.items()
    if isinstance(default, float)
]


@pytest.mark.parametrize("value", [-0.1, 1.0, 7, "0.5", True, None])
def test_fractions_must_make_sense(value):
    with pytest.raises(RequestError, match=r"dropout of mlp is .*; it must be a fraction: at least 0, less than 1$"):
        zoo.build_model("mlp", dropout=value)
    with pytest.raises(RequestError, match=r"bn_momentum of inception_v3 is .*; it must be a fraction"):
        zoo.build_model("inception_v3", bn_momentum=value)


@pytest.mark.parametrize(("name", "key"), FRACTIONS, ids="-".join)
def test_every_builder_checks_its_fractions(name, key):
    """All hyperparameters of the zoo that are no whole numbers are fractions."""
    with pytest.raises(RequestError, match=rf"^{key} of {name} is 1\.0; it must be a fraction"):
        zoo.build_model(name, **{key: 1.0})


@pytest.mark.parametrize("name", ["siamese", "triplet", "multi_output"])
def test_a_model_without_classes_takes_no_number_of_them(name):
    with pytest.raises(ValueError, match=f"num_classes is 10; {name} sorts into no classes"):
        zoo.build_model(name, num_classes=10)


@pytest.mark.parametrize("shape", [(), (0, 4), (28, 28, -1), (28.0, 28, 1), "28", 28, (None, None, 3), (True, 2, 3)])
def test_input_shape_must_make_sense(shape):
    with pytest.raises(ValueError, match=r"input_shape (of mlp )?is"):
        zoo.build_model("mlp", input_shape=shape)


@pytest.mark.parametrize("classes", [-1, 1, 2.5, "10", True])
def test_num_classes_must_make_sense(classes):
    with pytest.raises(ValueError, match="num_classes is"):
        zoo.build_model("mlp", num_classes=classes)


def test_numbers_of_numpy_are_as_good():
    model = zoo.build_model("mlp", num_classes=np.int64(5), dropout=np.float32(0.5))
    assert model.output_shape == (None, 5)


@pytest.mark.parametrize("name", [None, ["resnet20"], 3])
def test_a_name_is_a_string(name):
    with pytest.raises(ValueError, match="unknown model"):
        zoo.build_model(name)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mlp", {"hidden_sizes": 3}, "hidden_sizes is 3; it must be a list of whole numbers, each at least 1"),
        ("mlp", {"hidden_sizes": [8, 0]}, "hidden_sizes is"),
        ("mlp", {"hidden_sizes": [], "input_shape": (4,), "num_classes": 0}, "at least one hidden layer"),
        ("simple_cnn", {"filters": ["a"]}, "filters is"),
        ("simple_cnn", {"filters": []}, "filters is .*at least one entry"),
        ("simple_cnn", {"hidden_units": 0}, "hidden_units is 0; it must be a whole number, at least 1"),
    ],
    ids=str,
)
def test_sizes_must_make_sense(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.build_model(name, **arguments)


def test_variant_takes_the_hyperparameters_of_its_net():
    assert zoo.model_info("resnet20").hyperparameters == {"shortcut": "A", "features": False}
    signature = inspect.signature(zoo.model_info("resnet20").builder)
    assert list(signature.parameters) == ["input_shape", "num_classes", "shortcut", "features"]


def test_variant_tells_its_net_what_it_is(scratch_registry):
    def net(name, depth, input_shape, num_classes, *, width=3):
        return name, depth, input_shape, num_classes, width

    @registry.register_variant(net, 7, paper="Nobody 2000", input_shape=(4,), num_classes=2, parameters=15)
    def net7():
        """Seven layers."""

    assert (net7.__name__, net7.__doc__, net7.__module__) == ("net7", "Seven layers.", __name__)
    assert zoo.model_info("net7").family == "test_registry"
    assert net7((5,), 6) == ("net7", 7, (5,), 6, 3)
    assert zoo.build_model("net7", width=8) == ("net7", 7, (4,), 2, 8)
    with pytest.raises(ValueError, match="unknown hyperparameter of net7 'depth'"):
        zoo.build_model("net7", depth=8)


@pytest.mark.parametrize("name", zoo.list_models())
def test_builders_can_be_imported_by_their_names(name):
    builder = zoo.model_info(name).builder
    assert builder is getattr(importlib.import_module(builder.__module__), name)
    assert builder.__name__ == name


def test_entry_points_add_models_and_a_broken_one_is_named(scratch_registry, monkeypatch):
    module = types.ModuleType("other_package.sequential.plugins")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    class Good:
        value = "other_package:models"

        def load(self):
            register("plugged", module=module.__name__)

    class Broken:
        value = "broken_package:models"

        def load(self):
            raise ImportError("no such thing")

    def entry_points(group):
        assert group == "zoo.models"
        return [Broken(), Good()]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(registry, "_discovered", False)
    with pytest.warns(
        UserWarning, match=r"models of broken_package:models are missing: ImportError\('no such thing'\)"
    ):
        names = zoo.list_models()
    assert "plugged" in names
    assert "lenet5" in names
    assert zoo.build_model("plugged", width=5).output_shape == (None, 5)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_looking_up_imports_no_keras():
    run("""
import sys
import zoo

def imported():
    return {"keras", "tensorflow"} & {*sys.modules}

assert "resnet20" in zoo.list_models("resnet*", style="functional")
info = zoo.model_info("resnet20")
assert info.hyperparameters == {"shortcut": "A", "features": False}
for wrong in (lambda: zoo.model_info("resnet2O"), lambda: zoo.build_model("resnet20", shortcat="B")):
    try:
        wrong()
    except zoo.RequestError as error:
        assert "did you mean" in str(error), error
assert not imported()
""")


@pytest.mark.slow
def test_a_builder_imports_its_own_file_alone():
    run("""
import sys
import zoo

assert zoo.model_info("resnet20").builder.__name__ == "resnet20"
assert "keras" in sys.modules
assert "zoo.models.functional.resnet_cifar" in sys.modules
assert "zoo.models.functional.densenet" not in sys.modules
""")


def test_the_index_is_up_to_date():
    assert model_index.read() is not None, "run: python -m zoo document"
    assert registry.index_to_write() == {}


@pytest.mark.slow
def test_without_the_index_the_same_is_known():
    run("""
import pathlib, sys
import zoo
from zoo import model_index, registry

committed = model_index.FILE.read_text(encoding="utf-8")
indexed = [zoo.model_info(name) for name in zoo.list_models()]
registry._MODELS.clear()
registry._discovered = False
model_index.FILE = pathlib.Path("nothing.json")
assert [zoo.model_info(name) for name in zoo.list_models()] == indexed
assert "keras" in sys.modules
assert registry.index_to_write() == {model_index.FILE: committed}, "run: python -m zoo document"
""")


@pytest.fixture
def copied_sources(tmp_path, monkeypatch):
    """The files that the index is made from, in a folder of their own, and the index."""
    package = tmp_path / "zoo"
    shutil.copytree(ROOT / "zoo" / "models", package / "models", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("registry.py", "model_index.py"):
        shutil.copy(ROOT / "zoo" / name, package)
    monkeypatch.setattr(model_index, "_PACKAGE", package)
    monkeypatch.setattr(model_index, "FILE", package / "models" / "index.json")
    return package


def test_the_ends_of_lines_do_not_make_the_index_stale(copied_sources):
    indexed = model_index.read()
    assert len(indexed) == len(zoo.list_models("*"))
    for path in copied_sources.rglob("*.*"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert model_index.read() == indexed


def an_edited_model(package):
    path = package / "models" / "sequential" / "mlp.py"
    path.write_text(path.read_text() + "\n")


def a_new_model(package):
    (package / "models" / "functional" / "new.py").write_text("")


def another_name(package):
    (package / "models" / "sequential" / "mlp.py").rename(package / "models" / "sequential" / "perceptron.py")


def an_edited_index(package):
    path = package / "models" / "index.json"
    path.write_text(path.read_text().replace("61706", "61707"))


def a_torn_index(package):
    path = package / "models" / "index.json"
    path.write_text(path.read_text()[:-20])


def no_index(package):
    (package / "models" / "index.json").unlink()


def no_sources(package):
    (package / "registry.py").unlink()


@pytest.mark.parametrize(
    "change", [an_edited_model, a_new_model, another_name, an_edited_index, a_torn_index, no_index, no_sources]
)
def test_any_other_change_makes_the_index_stale(copied_sources, change):
    assert model_index.read() is not None
    change(copied_sources)
    assert model_index.read() is None


def test_a_name_of_the_zoo_is_refused_before_the_first_look_up_too(monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", {})
    monkeypatch.setattr(registry, "_discovered", False)
    register("mine")
    register("lenet5")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'lenet5' is registered already, by somewhere\.else"):
            zoo.list_models()


def test_what_is_known_can_be_copied_and_sent():
    info = zoo.model_info("mlp")
    assert info.builder is zoo.model_info("mlp").builder
    for other in (copy.deepcopy(zoo.model_info("mlp")), pickle.loads(pickle.dumps(zoo.model_info("mlp")))):
        assert other == info
        assert other.builder is info.builder


def test_load_model_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.keras"):
        zoo.load_model(str(tmp_path / "nothing.keras"))


def test_authors_and_year():
    paper = "He, Zhang, Ren and Sun 2015, Deep Residual Learning"
    assert registry.authors_and_year(paper) == "He, Zhang, Ren and Sun 2015"
    assert registry.authors_and_year("a private net") == "a private net"
