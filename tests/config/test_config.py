import dataclasses
import importlib
import subprocess
import sys
import types

import pytest
from absl import flags

import zoo
from zoo import config as configs
from zoo.config import ExperimentConfig, augmentations
from zoo.data.augment import randaugment
from zoo.errors import RequestError


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch_size", 0, "batch_size is 0; it must be at least 1"),
        ("batch_size", -3, "batch_size is -3; it must be at least 1"),
        ("batch_size", 2.0, "batch_size is 2.0; it must be of type int"),
        ("batch_size", True, "batch_size is True; it must be of type int"),
        ("learning_rate", -0.1, "learning_rate is -0.1; it must be above 0"),
        ("learning_rate", float("nan"), "learning_rate is nan; it must be above 0"),
        ("learning_rate", float("inf"), "learning_rate is inf; it must be finite"),
        ("momentum", 1.0, "momentum is 1.0; it must be below 1"),
        ("optimizer", "adm", "unknown optimizer 'adm'; did you mean adam or adamw?"),
        ("schedule", "cosin", "unknown schedule 'cosin'; did you mean cosine?"),
        ("schedule", "cosine:3", "schedule is 'cosine:3'; cosine takes no numbers"),
        ("schedule", "step", "schedule is 'step'; step needs rising epochs"),
        ("schedule", "step:5,3", "schedule is 'step:5,3'; step needs rising epochs"),
        ("schedule", "step:5:2", "may have a factor below 1, as step:60,80:0.2"),
        ("model", 3, "model is 3; it must be of type str"),
        ("model_args", {"f": print}, "model_args is .*; it must be writable as JSON"),
        ("keep_checkpoints", 1, "keep_checkpoints is 1; it must be at least 2"),
        ("nesterov", True, "nesterov goes with sgd; optimizer is 'adam'"),
        ("seed", 2**32, "seed is 4294967296; it must be below 4294967296"),
        # The default, which has no name, is not told.
        ("class_weights", "even", "unknown class_weights 'even'; there is balanced$"),
        ("jit", "yes", "unknown jit 'yes'; there is auto, off, on"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed(field, value, message):
    with pytest.raises(ValueError, match=message):
        ExperimentConfig(**{field: value})


def test_an_int_will_do_for_a_float():
    config = ExperimentConfig(learning_rate=1)
    assert config.learning_rate == 1.0
    assert type(config.learning_rate) is float


def test_model_args_are_kept_as_the_record_will_have_them():
    assert ExperimentConfig(model_args={"filters": (1, 2)}).model_args == {"filters": [1, 2]}


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExperimentConfig().seed = 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", ("constant", (), 1.0)),
        ("step:60,80", ("step", (60.0, 80.0), 0.1)),
        ("step:60,80.5:0.2", ("step", (60.0, 80.5), 0.2)),
    ],
)
def test_parse_schedule(text, expected):
    assert configs.parse_schedule(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ('{"a": [1, 2], "b": null}', {"a": [1, 2], "b": None}),
        ("a=True,b=False,c=None", {"a": True, "b": False, "c": None}),
        ("hidden_sizes=[64,64],dropout=0.2,activation=relu,batch_norm=true",
         {"hidden_sizes": [64, 64], "dropout": 0.2, "activation": "relu", "batch_norm": True}),
    ],
)  # fmt: skip
def test_parse_model_args(text, expected):
    assert configs.parse_model_args(text) == expected


@pytest.mark.parametrize("text", ["{", "dropout", "=3", "dropout,hidden=3"])
def test_parse_model_args_refuses(text):
    with pytest.raises(ValueError, match="model_args is"):
        configs.parse_model_args(text)


def parsed(*argv):
    values = flags.FlagValues()
    configs.define_flags(values)
    values(["train.py", *argv])
    return values


def test_every_field_is_a_flag_and_flags_go_before_the_config():
    base = ExperimentConfig(batch_size=8, optimizer="sgd", nesterov=True, learning_rate=0.5)
    config = configs.with_flags(base, parsed("--batch_size=16", "--nonesterov", "--model_args=dropout=0.1"))
    assert config == dataclasses.replace(base, batch_size=16, nesterov=False, model_args={"dropout": 0.1})
    # A flag that repeats a default still goes before the config file.
    assert configs.with_flags(base, parsed("--batch_size=32")).batch_size == 32
    for name in configs.FIELDS:
        assert name in parsed()


def test_differences():
    one, other = ExperimentConfig(seed=1), ExperimentConfig(seed=2, epochs=3)
    assert configs.differences(one, other) == {"seed": (1, 2), "epochs": (20, 3)}


GOOD = "from zoo.config import ExperimentConfig\ndef get_config():\n    return ExperimentConfig(seed=7)\n"


def test_load_config(tmp_path):
    file = tmp_path / "good.py"
    file.write_text(GOOD)
    assert configs.load_config(str(file)) == ExperimentConfig(seed=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has no function get_config"),
        ("def get_config(): return 3", "returned int, not ExperimentConfig"),
        ("def get_config(): return 1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("def get_config(:", "failed: SyntaxError"),
        (GOOD.replace("seed=7", "seed=-7"), "seed is -7; it must be at least 0"),
        (GOOD.replace("seed=7", "sede=7"), "failed: TypeError: .*'sede'"),
    ],
)
def test_a_bad_config_file_is_named(tmp_path, text, message):
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.py.*{message}|{message}"):
        configs.load_config(str(file))


def test_a_missing_config_file_names_the_nearest(tmp_path):
    (tmp_path / "resnet20_digits.py").write_text(GOOD)
    with pytest.raises(ValueError, match=r"did you mean .*resnet20_digits\.py"):
        configs.load_config(str(tmp_path / "resnet2_digits.py"))
    with pytest.raises(ValueError, match="unknown config file"):
        configs.load_config(str(tmp_path / "no" / "such.py"))


def a_folder_of_configs(folder, seed):
    """A config that takes a base from a file beside it and a rate from a package there."""
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "rates.py").write_text(f"RATE = {seed + 1}\n")
    (folder / "common.py").write_text(
        f"from zoo.config import ExperimentConfig\ndef base(**fields): return ExperimentConfig(seed={seed}, **fields)\n"
    )
    (folder / "json.py").write_text("raise SystemExit('the standard library has this name')\n")
    (folder / "mine.py").write_text(
        "import json\nfrom common import base\n"
        "def get_config():\n"
        "    from parts.rates import RATE\n"
        "    return base(learning_rate=float(RATE), epochs=len(json.dumps({})))\n"
    )
    return str(folder / "mine.py")


def test_a_config_file_may_import_what_lies_beside_it(tmp_path, monkeypatch):
    """In two folders these may have the same names, and Python knows them no longer than the file runs."""
    files = {seed: a_folder_of_configs(tmp_path / str(seed), seed) for seed in (3, 5)}
    own = types.ModuleType("common")
    monkeypatch.setitem(sys.modules, "common", own)
    before = dict(sys.modules), list(sys.path), list(sys.meta_path)
    for _ in range(2):
        for seed, file in files.items():
            config = configs.load_config(file)
            assert (config.seed, config.learning_rate, config.epochs) == (seed, seed + 1, 2)
    monkeypatch.chdir(tmp_path / "5")
    assert configs.load_config("mine.py").seed == 5
    assert (sys.modules, sys.path, sys.meta_path) == before
    assert sys.modules["common"] is own


def test_what_a_config_file_imports_may_be_missing_or_fail(tmp_path):
    file = a_folder_of_configs(tmp_path / "mine", 3)
    before = dict(sys.modules), list(sys.meta_path)
    (tmp_path / "mine" / "common.py").write_text("1 / 0")
    with pytest.raises(RequestError, match=r"mine\.py failed: ZeroDivisionError: division by zero$"):
        configs.load_config(file)
    (tmp_path / "mine" / "common.py").unlink()
    with pytest.raises(RequestError, match=r"mine\.py failed: ModuleNotFoundError: No module named 'common'$"):
        configs.load_config(file)
    assert (sys.modules, sys.meta_path) == before


def test_a_module_that_a_program_has_from_there_itself_stays_one(tmp_path, monkeypatch):
    file = a_folder_of_configs(tmp_path / "mine", 3)
    monkeypatch.syspath_prepend(tmp_path / "mine")
    common = importlib.import_module("common")
    try:
        assert configs.load_config(file).seed == 3
        assert sys.modules["common"] is common
    finally:
        del sys.modules["common"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warmup_epochs": 3.5, "epochs": 2}, r"warmup_epochs is 3.5; it must be at most epochs, 2"),
        ({"augment": "flop:7"}, "unknown augmentation 'flop'; did you mean flip"),
        ({"augment": "pad_crop"}, "augment is 'pad_crop'; pad_crop takes a number of pixels, as pad_crop:4"),
        ({"augment": "random_resized_crop"}, "augment has random_resized_crop, which needs image_size"),
        ({"center_crop": 0.875}, "center_crop is 0.875, which needs image_size"),
        ({"eval_split": "train"}, "eval_split is 'train', which is what the rows of training are called"),
        ({"model": "resnet2O"}, "unknown model 'resnet2O'; did you mean .*resnet20"),
        ({"task": "clasification"}, "unknown task 'clasification'; did you mean classification"),
    ],
    ids=str,
)
def test_all_that_needs_no_data_is_checked_when_it_is_made(fields, message):
    with pytest.raises(RequestError, match=message):
        ExperimentConfig(**fields)


def test_it_is_checked_without_tensorflow():
    code = (
        "import sys, zoo\n"
        "for fields in ({'model': 'resnet2O'}, {'augment': 'flop'}, {'task': 'verify'}):\n"
        "    try: zoo.ExperimentConfig(**fields)\n"
        "    except zoo.RequestError as error: assert 'did you mean' in str(error)\n"
        "    else: raise AssertionError(fields)\n"
        "zoo.ExperimentConfig(model='resnet20', augment='pad_crop:4,flip')\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_randaugment_has_as_many_operations_as_may_be_asked_for():
    assert len(randaugment.OPERATIONS) == augmentations.RANDAUGMENT_OPERATIONS


def test_a_config_file_may_bring_its_own_model(tmp_path, data_dir, monkeypatch):
    zoo.list_models()
    monkeypatch.setattr(zoo.registry, "_MODELS", dict(zoo.registry._MODELS))
    (tmp_path / "own.py").write_text(
        "import keras, zoo\n"
        "@zoo.register_model(paper='Mine 2026', input_shape=(8, 8, 1), num_classes=10, parameters=650)\n"
        "def own_net(input_shape, num_classes):\n"
        "    parts = [keras.layers.Flatten(), keras.layers.Dense(num_classes, name='logits')]\n"
        "    return keras.Sequential([keras.Input(input_shape, name='image'), *parts], name='own_net')\n"
        "def get_config():\n"
        "    return zoo.ExperimentConfig(model='own_net', epochs=1)\n"
    )
    for _ in range(2):  # as the same command does that goes on
        config = configs.load_config(str(tmp_path / "own.py"))
        assert zoo.build_model("own_net").count_params() == zoo.model_info("own_net").parameters
    assert zoo.train(config, workdir=str(tmp_path / "run"), data_dir=data_dir)["steps"] == 1437 // 32
