"""python -m zoo, as a user meets it."""

import json
import pkgutil
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

import zoo
from zoo.cli import commands, console
from zoo.cli.commands import command_names, find_command, run_zoo
from zoo.cli.options import Argument, Option
from zoo.config import FIELDS
from zoo.runs.workdir import Workdir

# The keys of inspect --json, in order.
KEYS = (
    *("name", "family", "style", "task", "paper", "inputs", "outputs", "depth", "trainable_parameters"),
    *("total_parameters", "macs", "activations", "branches", "merges", "skip_connections", "shared_layers"),
    *("uncounted_layers", "could_be_sequential", "reason", "layers"),
)
# A user's own module. The counts of the triplet: conv 26 x 26 x 16 from 9 numbers, dense 2704 x 64, in three calls.
NETS = """
import keras
from keras import layers

def tower():
    conv = layers.Conv2D(16, 3, activation="relu", name="conv1")
    rest = [layers.MaxPooling2D(name="pool"), layers.Flatten(name="flatten"), layers.Dense(64, name="embedding")]
    return keras.Sequential([keras.Input((28, 28, 1)), conv, *rest], name="tower")

def triplet():
    embed, names = tower(), ("anchor", "positive", "negative")
    images = [keras.Input((28, 28, 1), name=name) for name in names]
    return keras.Model(images, {name: embed(image) for name, image in zip(names, images)}, name="my_triplet")

def any_size():
    image = keras.Input((None, None, 3), name="image")
    return keras.Model(image, layers.Conv2D(4, 3, name="conv")(image), name="any_size")

def recurrent():
    steps = [layers.LSTM(5, name="memory"), layers.Dense(2, name="logits")]
    return keras.Sequential([keras.Input((7, 3), name="vector"), *steps], name="recurrent")

class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)

def unbuilt():
    return Subclassed()

def subclassed():
    model = Subclassed()
    model(keras.ops.zeros((1, 4)))
    return model

def needs(x):
    return x

def number():
    return 3

def fails():
    raise RuntimeError("no luck")
"""
TRIPLET_MACS = 3 * (26 * 26 * 16 * 9 + 2704 * 64)


@pytest.fixture
def command(capsys):
    def run(*argv):
        status = console.run(run_zoo, list(argv))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Stands in a folder with a module `nets`."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "imports_nothing.py").write_text("import nothing_of_the_kind")
    (tmp_path / "text.keras").write_text("no archive")
    (tmp_path / "folder.svg").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("nets", "imports_nothing"):
        sys.modules.pop(name, None)


def facts_of(out):
    return dict(line.split("  ", 1) for line in out.rpartition("\n\n")[2].splitlines())


def test_list_has_a_row_per_model(command):
    status, out, err = command("list")
    assert (status, err) == (0, "")
    rows = out.splitlines()
    assert rows[0].split() == ["name", "style", "family", "task", "input", "parameters", "MACs", "paper"]
    assert [row.split()[0] for row in rows[1:]] == zoo.list_models()
    row = next(row for row in rows if row.startswith("resnet20 ")).split(maxsplit=7)
    assert row[1:4] == ["functional", "resnet_cifar", "classification"]
    assert row[4:] == ["32x32x3", "269,722", "40,551,040", "He, Zhang, Ren and Sun 2015"]


def test_list_filters(command):
    _, out, _ = command("list", "resnet*", "--style=functional", "--task=classification", "--json")
    models = json.loads(out)
    assert [model["name"] for model in models] == zoo.list_models("resnet*")
    model = next(model for model in models if model["name"] == "resnet20")
    assert (model["parameters"], model["macs"]) == (269_722, 40_551_040)
    assert model["hyperparameters"]["shortcut"] == "A"
    assert model["loss_weights"] == {}
    _, out, _ = command("list", "--style=sequential", "--json")
    assert [model["name"] for model in json.loads(out)] == zoo.list_models(style="sequential")


def test_list_counts_a_model_of_the_user(command, nets):
    _, out, _ = command("list", "nets:triplet")
    shape = ",".join(["28x28x1"] * 3)
    assert out.splitlines()[1].split() == ["my_triplet", "functional", "-", "-", shape, "173,280", "811,200", "-"]
    _, out, _ = command("list", "nets:any_size")
    assert out.splitlines()[1].split() == ["any_size", "functional", "-", "-", "?x?x3", "112", "-", "-"]
    _, out, _ = command("list", "nets:tower", "--json")
    (model,) = json.loads(out)
    _, known, _ = command("list", "mlp", "--json")
    assert list(model) == list(json.loads(known)[0])
    assert (model["style"], model["input_shape"], model["family"]) == ("sequential", [28, 28, 1], None)


def test_inspect_of_a_sequential(command):
    _, out, _ = command("inspect", "lenet5")
    assert "c3       Conv2D            10 x 10 x 16       2,416  s2" in out
    found = facts_of(out)
    assert found["depth"].split()[0] == "5"
    assert found["could be Sequential"].strip() == "yes"


def test_inspect_of_a_residual_net(command):
    status, out, err = command("inspect", "resnet20", "--summary")
    assert (status, err) == (0, "")
    # 9 blocks; convolutions of stem and stages: 7 x 32 x 32 x 16, 6 x 16 x 16 x 32, 6 x 8 x 8 x 64, then 10 logits.
    assert out.splitlines()[1:] == [
        "style                  functional",
        "family                 resnet_cifar",
        "task                   classification",
        "inputs                 image (32 x 32 x 3)",
        "outputs                logits (10)",
        "depth                  20 (layers with weights on the longest path)",
        "trainable parameters   269,722 (269.72 k)",
        "total parameters       271,098 (271.10 k)",
        "MACs                   40,551,040 (40.55 M)",
        "activations            188,426 (188.43 k)",
        "branches               9 (tensors that go to more than one layer)",
        "merges                 9 (9 add)",
        "skip connections       9",
        "shared layers          0",
        "could be Sequential    no, because the output of stem_relu goes to stage1_block1_1_conv and "
        "stage1_block1_add: the path branches there",
    ]


def test_inspect_json(command):
    _, out, _ = command("inspect", "resnet20", "--json")
    found = json.loads(out)
    assert tuple(found) == KEYS
    assert (found["name"], found["family"], found["style"]) == ("resnet20", "resnet_cifar", "functional")
    assert (found["inputs"], found["outputs"]) == ({"image": [32, 32, 3]}, {"logits": [10]})
    assert found["merges"] == {"add": 9, "concatenate": 0, "multiply": 0, "other": 0}
    assert found["shared_layers"] == found["uncounted_layers"] == []
    assert found["could_be_sequential"] is False
    assert found["reason"].startswith("the output of stem_relu goes to")


def test_inspect_with_arguments_for_the_builder(command):
    flags = ["--input_shape=16x16x1", "--num_classes=3", "--model_args=shortcut=B", "--json"]
    _, out, _ = command("inspect", "resnet20", *flags)
    found = json.loads(out)
    assert (found["inputs"], found["outputs"]) == ({"image": [16, 16, 1]}, {"logits": [3]})
    # Two colours and seven classes fewer, two shortcuts with their batch norm more.
    assert found["trainable_parameters"] == 269_722 - 2 * 9 * 16 - 7 * 65 + (16 * 32 + 64) + (32 * 64 + 128)


def test_inspect_looks_through_a_shared_tower(command, nets):
    _, out, _ = command("inspect", "nets:triplet")
    names = [line.split("  ")[0] for line in out.partition("\n\n")[0].splitlines()]
    inside = ["tower/conv1", "tower/pool", "tower/flatten", "tower/embedding"]
    assert sorted(names[1:4]) == ["anchor", "negative", "positive"]
    assert names[4:] == [*inside, "tower (call 2)", "tower (call 3)"]
    found = facts_of(out)
    assert found["MACs"].strip() == f"{TRIPLET_MACS:,} (811.20 k)"
    assert found["shared layers"].strip() == "1: tower (3 calls); parameters count once, all else in each call"
    assert found["outputs"].strip() == "anchor (64), positive (64), negative (64)"
    assert not {"paper", "family", "task"} & set(found)


def test_inspect_of_a_file_says_the_same(command, nets):
    _, from_function, _ = command("inspect", "nets:triplet", "--json")
    import nets as module

    module.triplet().save("triplet.keras")
    _, from_file, _ = command("inspect", "triplet.keras", "--json")
    assert json.loads(from_file) == json.loads(from_function)
    assert json.loads(from_file)["macs"] == TRIPLET_MACS


def test_inspect_is_honest_about_what_it_cannot_know(command, nets):
    _, out, _ = command("inspect", "nets:subclassed")
    assert out.splitlines() == [
        "style                  subclassed",
        "trainable parameters   15",
        "total parameters       15",
        "could be Sequential    unknown; no graph to read: its forward pass is Python code",
    ]
    _, out, _ = command("inspect", "nets:subclassed", "--json")
    found = json.loads(out)
    assert tuple(found) == KEYS
    assert found["could_be_sequential"] is found["macs"] is found["inputs"] is None
    _, out, _ = command("inspect", "nets:unbuilt")
    assert facts_of(out)["trainable parameters"].strip() == "unknown until the model is built"
    _, out, _ = command("inspect", "nets:any_size")
    assert facts_of(out)["inputs"].strip() == "image (? x ? x 3)"
    assert facts_of(out)["MACs"].strip() == "unknown, since a size is left open"
    _, out, _ = command("inspect", "nets:recurrent")
    assert facts_of(out)["depth"].strip().startswith("at least 2 (")
    assert facts_of(out)["MACs"].strip() == "at least 10"
    assert facts_of(out)["not counted there"].strip() == "memory"


def test_inspect_as_json_has_the_table(command, nets):
    layers = json.loads(command("inspect", "nets:triplet", "--json")[1])["layers"]
    assert layers[3] == {
        "name": "tower/conv1",
        "kind": "Conv2D",
        "inputs": ["anchor"],
        "output_shapes": [[26, 26, 16]],
        "parameters": 160,
    }
    assert (layers[-1]["name"], layers[-1]["parameters"]) == ("tower (call 3)", None)
    assert json.loads(command("inspect", "nets:subclassed", "--json")[1])["layers"] is None
    (conv,) = json.loads(command("inspect", "nets:any_size", "--json")[1])["layers"][1:]
    assert conv["output_shapes"] == [[None, None, 4]]


def test_inspect_draws_any_net(command, nets):
    status, out, err = command("inspect", "resnet20", "--summary", "--figure=net.svg")
    assert (status, err, out.splitlines()[-1]) == (0, "", "net.svg")
    assert "3 times" in (nets / "net.svg").read_text()
    _, out, _ = command("inspect", "nets:triplet", "--json", "--figure=own.svg")
    assert json.loads(out)["name"] == "my_triplet"
    assert (nets / "own.svg").read_text().startswith("<svg ")


def test_inspect_compares_two(command, nets):
    status, out, err = command("inspect", "resnet20", "--diff=all_cnn_c")
    assert (status, err) == (0, "")
    assert re.search(r"^merges \(add\) +9 +0$", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith("all_cnn_c lacks what resnet20 has: ")
    found = json.loads(command("inspect", "nets:tower", "--diff=mlp", "--json")[1])
    assert [tuple(model) for model in found["models"]] == [KEYS, KEYS]
    assert found["difference"] == "tower and mlp have connections of the same kinds."


def test_inspect_leaves_sizes_open(command):
    _, out, _ = command("inspect", "resnet20", "--input_shape=?x?x3", "--summary")
    assert facts_of(out)["inputs"].strip() == "image (? x ? x 3)"


def test_every_command_says_what_it_does(command):
    status, out, _ = command()
    assert (status, command("--help")[1]) == (0, out)
    for name in command_names():
        assert re.search(rf"^{name} +[A-Z]\w+s ", out, re.MULTILINE)
        status, said, err = command(name, "--help")
        assert (status, err) == (0, "")
        assert said.startswith(f"usage: python -m zoo {name}")
        options = re.findall(r"^  --(\w+)", said, re.MULTILINE)
        assert [option.name for option in find_command(name).OPTIONS] == options[: len(find_command(name).OPTIONS)]


def test_help_fits_a_narrow_window_and_names_what_flags_may_be(command):
    assert max(map(len, command()[1].splitlines())) <= 100
    for name in command_names():
        said = command(name, "--help")[1]
        assert max(map(len, said.splitlines())) <= 100, name
        # What stands at a flag, its further lines included.
        texts = dict(re.findall(r"^  --(\w+) +(.*(?:\n {29}.*)*)", said, re.MULTILINE))
        choices = {option.name: option.choices for option in find_command(name).OPTIONS}
        if name in ("train", "show-data"):
            choices |= {field.name: field.metadata["choices"] or () for field in FIELDS.values()}
        assert texts.keys() == choices.keys()
        for flag, values in choices.items():
            assert set(values) - {""} <= set(re.findall(r"\w+", texts[flag])), flag
    assert "one of sgd, adam, adamw, rmsprop [adam]" in command("train", "--help")[1]


def test_a_command_is_one_file(command, monkeypatch):
    """What `find_command` and the list of commands need is a module in zoo/cli, and nothing is entered anywhere."""
    module = types.ModuleType("zoo.cli.say_hello", "Greets.\n\nFor tests.")
    module.ARGUMENTS = (Argument("name", "of whom"), Argument("more", "others", default=(), several=True))
    module.OPTIONS = (Option("times", 1, "how often", least=1), Option("loud", False, "with an exclamation mark"))
    module.main = lambda options: print(f"{options.name}{'!' * options.loud} {options.more}" * options.times)
    monkeypatch.setitem(sys.modules, "zoo.cli.say_hello", module)
    known = [*pkgutil.iter_modules([str(Path(commands.__file__).parent)])]
    found = [*known, types.SimpleNamespace(name="say_hello")]
    monkeypatch.setattr(commands.pkgutil, "iter_modules", lambda path: found)
    assert command("say-hello", "Ann", "--loud", "Bob", "--times=2") == (0, "Ann! ['Bob']Ann! ['Bob']\n", "")
    assert command("say-hello", "Ann", "--noloud") == (0, "Ann []\n", "")
    assert command("say-hello", "Ann", "--times=0")[2] == "error: times is 0; it must be at least 1\n"
    assert re.search(r"^say-hello +Greets\.$", command()[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["lst"], "unknown command 'lst'; did you mean list?"),
        (["--lst"], "unknown command '--lst'; did you mean list?"),
        (["inspect"], "name is missing; see python -m zoo inspect --help"),
        (["list", "mlp", "nin"], "what is 'nin'? flags are written as --name=value; see python -m zoo list --help"),
        (["inspect", "resnet21"], "unknown model 'resnet21'; did you mean resnet"),
        (["list", "resnet21"], "unknown model 'resnet21'; did you mean resnet"),
        (["list", "zzz*"], "no model fits 'zzz*'"),
        (["list", "--task=foo"], "unknown task 'foo'; there is classification, multi_output, verification"),
        (["list", "--style=seq"], "unknown style 'seq'"),
        (["list", "--sytle=sequential"], "Unknown command line flag 'sytle'. Did you mean: style ?"),
        (["list", "--nope"], "Unknown command line flag 'nope'; see python -m zoo list --help"),
        (["list", "nets:tower", "--style=functional"], "no model fits 'nets:tower functional'"),
        (["list", "none.keras"], "there is no file none.keras"),
        (["inspect", "none.keras"], "there is no file none.keras"),
        (["inspect", "mlp", "--figure=net.png"], "figure is 'net.png'; it is drawn as SVG"),
        (["inspect", "mlp", "--figure=none/net.svg"], "figure is 'none/net.svg', and there is no folder none"),
        (["inspect", "mlp", "--figure=folder.svg"], "figure folder.svg cannot be written: Is a directory"),
        (["inspect", "nets:subclassed", "--figure=net.svg"], "nets:subclassed cannot be drawn: no graph to read"),
        (["inspect", "resnet20", "--diff=all_cnn"], "unknown model 'all_cnn'; did you mean all_cnn_c"),
        (["inspect", "text.keras"], "text.keras cannot be read as a Keras model: it is not the zip archive"),
        (["inspect", "no_module:f"], "there is no module no_module"),
        (["inspect", "imports_nothing:f"], "cannot be imported: ModuleNotFoundError: No module named 'nothing_of"),
        (["inspect", "nets:towre"], "unknown function of nets 'towre'; did you mean tower"),
        (["inspect", "nets:needs"], "it needs some: missing a required argument: 'x'"),
        (["inspect", "nets:number"], "gave an object of type int; it must give a keras.Model"),
        (["inspect", "nets:fails"], "nets:fails failed: RuntimeError: no luck"),
        (["inspect", "nets:tower", "--num_classes=3"], "num_classes can be set for registered models only"),
        (["inspect", "resnet20", "--input_shape=3,3"], "input_shape is '3,3'; write it as 32x32x3"),
        (["inspect", "resnet20", "--input_shape=2x2x3"], "height and width must be at least 4"),
        (["inspect", "resnet20", "--model_args=shortcut=C"], "shortcut is 'C'"),
        (["inspect", "resnet20", "--num_classes=ten"], "flag --num_classes=ten: invalid literal for int()"),
    ],
    ids=str,
)
def test_a_wrong_request_is_one_line(command, nets, argv, message):
    status, out, err = command(*argv)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_reader_who_leaves_early_sees_no_traceback():
    prints = "lambda _: options.print_table([('row',)] * 10**5)"
    code = f"import sys; from zoo.cli import console, options; sys.exit(console.run({prints}, []))"
    command = f"{sys.executable} -c {shlex.quote(code)} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "row\n", "")


def test_output_on_a_full_disk_is_one_line():
    command = [sys.executable, "train.py", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=Path(__file__).parents[2], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: the disk is full; make space on it\n"


def test_show_data_takes_the_flags_of_the_config(capsys, tmp_path, data_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_zoo(["show-data", "--augment=pad_crop:1", f"--data_dir={data_dir}", "--count=5", "--seed=3"])
    counted, last = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert counted.startswith("train of digits: 1,437 examples\nlabel: 0 143, 1 146, ")
    assert last == "data.png: the first 5 training examples, as the model gets them"
    assert (tmp_path / "data.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--augmnt=flip"], "Unknown command line flag 'augmnt'. Did you mean: augment"),
        (["--count=0"], "count is 0; it must be at least 1"),
        (["--output=nowhere/data.png"], "there is no folder nowhere"),
        (["picture.png"], "what is 'picture.png'?"),
        (["--config=nowhere.py"], "unknown config file 'nowhere.py'"),
    ],
    ids=str,
)
def test_show_data_says_what_is_wrong(argv, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run_zoo(["show-data", *argv])


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run."""
    config = zoo.ExperimentConfig(dataset="synthetic:8x8x1,classes=4,examples=320", epochs=1, batch_size=32)
    row = {"step": 10, "epoch": 1.0, "split": "test", "loss": 0.5}
    result = {"model": "simple_cnn", "dataset": config.dataset, "steps": 10, "epochs": 1, "seed": 0}
    times = {"wall_seconds": 2.0, "train_seconds": 1.0, "images_per_second": None}
    folder = Workdir(tmp_path / "run")
    with folder.open(config):
        folder.begin(config)
        folder.metrics.write_text(json.dumps(row) + "\n")
        folder.write_run(dataset={"class_names": {"label": ["0", "1", "2", "3"]}}, seed=0)
        folder.write_result({**result, **times, "metrics": {"test/loss": 0.5}, "state_sha256": "0" * 64})
    return folder.path


def test_report_writes_a_page_in_the_runs_folder(command, run):
    status, out, _ = command("report", str(run))
    assert (status, out) == (0, f"{run}/report/index.html, and its figures as PNG beside it\n")
    assert "simple_cnn on synthetic:8x8x1" in (run / "report" / "index.html").read_text()


def test_what_was_stopped_is_reported_and_compared_and_said_first(command, run):
    (run / "result.json").unlink()
    status, out, err = command("report", str(run))
    assert status == 0
    assert out == f"run is not finished: step 10\n{run}/report/index.html, and its figures as PNG beside it\n"
    assert "Not finished: step 10." in (run / "report" / "index.html").read_text()
    status, out, err = command("compare", str(run), str(run))
    assert (status, err) == (0, "")
    assert out.startswith("1: run is not finished: step 10\n2: run is not finished: step 10\nconfig")


def test_report_of_records(command, run, tmp_path):
    record = {
        "config": "mine",
        "seed": 0,
        "run": {},
        "curve": [],
        "fields": json.loads((run / "config.json").read_text()),
    }
    record["result"] = json.loads((run / "result.json").read_text())
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "0.json").write_text(json.dumps(record))
    status, out, _ = command("report", str(tmp_path / "results"), f"--output={tmp_path}/page/of/all")
    assert (status, out) == (0, f"{tmp_path}/page/of/all/index.html, and its figures as PNG beside it\n")
    page = (tmp_path / "page" / "of" / "all" / "index.html").read_text()
    assert "<code>mlp_digits</code>" in page
    assert "<h1>Baselines of the zoo</h1>" in page


def test_a_report_that_is_refused_writes_nothing(command, run, tmp_path):
    (run / "evaluation.npz").write_text("damaged")
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "0.json").write_text("damaged")
    before = sorted(tmp_path.rglob("*"))
    for folder, message in ((run, "evaluation.npz cannot be read"), (tmp_path / "results", "0.json cannot be read")):
        status, out, err = command("report", str(folder))
        assert (status, out) == (2, "")
        assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_compare_prints_tables_and_writes_a_page(command, run, tmp_path):
    status, out, err = command("compare", str(run), str(run), f"--output={tmp_path}/both.html")
    assert (status, err) == (0, "")
    lines = [re.split(r" {2,}", line) for line in out.splitlines()]
    assert lines[0] == ["config", "1: run", "2: run"]
    assert ["test/loss", "0.5000", "0.5000"] in lines
    assert ["equal to", "2", "1"] in lines
    assert "<h1>2 runs side by side</h1>" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["report"], "folder is missing"),
        (["report", "file"], "file is a file; report takes the folder of a run, or a folder of records"),
        (["report", "nowhere"], "there is no nowhere; name the folder of a run, or a record"),
        (["report", "."], "holds no run: it has no config.json"),
        (["report", "run", "--output=file/page"], "output is 'file/page', which cannot be made"),
        (["compare", "run"], "compare takes at least two runs"),
        (["compare", "run", "file"], "file cannot be read as a record"),
        (["compare", "run", "nowhere", "--output=new/page.html"], "there is no nowhere"),
    ],
    ids=str,
)
def test_no_report_of_what_is_no_run(command, run, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no record")
    before = sorted(tmp_path.rglob("*"))
    status, out, err = command(*argv)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
