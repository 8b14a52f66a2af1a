"""The catalog says what the publishers say, of every file that a net of the zoo can take."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import make_catalog
import numpy as np
import pytest

import zoo
from zoo.errors import RequestError
from zoo.pretrained import catalog
from zoo.pretrained.catalog import class_names, entries, find_entry, list_weights

ENTRIES = dict(entries())
ROWS = {row["name"]: row for row in csv.DictReader(catalog.FILE.read_text(encoding="utf-8").splitlines())}
# A Python with torch, torchvision and timm.
PEER_PYTHON = os.environ.get("PEER_PYTHON")
needs_peers = pytest.mark.skipif(not PEER_PYTHON, reason="PEER_PYTHON names no Python that has torchvision and timm")


def shown(row: dict) -> dict[str, str]:
    """A row as the file has it."""
    return {column: str(row.get(column, "")) for column in catalog.COLUMNS}


def test_the_file_is_what_the_script_would_write():
    assert make_catalog.text_of(list(ROWS.values())) == catalog.FILE.read_text(encoding="utf-8")
    assert list(ENTRIES) == sorted(ROWS)
    publishers = [name.partition("/")[0] for name in ENTRIES]
    assert {name: publishers.count(name) for name in publishers} == {"timm": 94, "torchvision": 28, "keras": 14}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_an_entry_makes_sense(entry):
    info = zoo.model_info(entry.model)
    publisher = entry.name.partition("/")[0]
    assert entry.names in (publisher, f"{publisher}_legacy")
    assert set(entry.arguments) <= set(info.hyperparameters)
    assert entry.num_classes in (0, 1000)
    assert entry.classes == ("imagenet" if entry.num_classes else "")
    assert entry.url.startswith(("hf://timm/", "https://"))
    assert entry.url.endswith(f"/{entry.file}")
    kind, _, digest = entry.digest.partition(":")
    assert (kind, bool(digest)) in {("sha256", True), ("md5", True)} or entry.url.startswith("hf://")
    assert set(digest) <= set("0123456789abcdef")
    # Four bytes for each parameter; less is half precision, and more are auxiliary heads, as large as all of GoogLeNet.
    assert not entry.megabytes or 0.49 < entry.megabytes / (4e-6 * info.parameters) < 1.9
    assert 128 <= entry.preprocessing.image_size <= info.input_shape[0]
    assert 0.8 < entry.preprocessing.center_crop <= 1
    assert entry.preprocessing.interpolation in ("bilinear", "bicubic")
    assert len(entry.preprocessing.mean) == len(entry.preprocessing.deviation) == 3
    assert (entry.top1 is None) == (entry.source == "")
    assert entry.top1 is None or 55 < entry.top1 < 85
    assert entry.note == "" or entry.note.endswith(".")


def test_few_scores_are_unknown():
    assert [entry.name for entry in ENTRIES.values() if entry.top1 is None] == [
        *("timm/resnet34.ra4_e3600_r224_in1k", "timm/resnet34.tv_in1k", "timm/resnet50.bamboo"),
    ]


def test_known_entries():
    """By hand, from the pages of the publishers."""
    entry = find_entry("torchvision/resnet50.IMAGENET1K_V2")
    assert (entry.file, entry.digest, entry.top1) == ("resnet50-11ad3fa6.pth", "sha256:11ad3fa6", 80.858)
    # The file has 102,540,417 bytes.
    assert entry.megabytes == 102.5
    assert entry.preprocessing.center_crop == pytest.approx(224 / 232, abs=1e-6)
    assert entry.preprocessing.mean == (123.675, 116.28, 103.53)
    entry = find_entry("timm/resnet50.a1_in1k")
    assert (entry.url, entry.licence) == ("hf://timm/resnet50.a1_in1k/model.safetensors", "Apache-2.0")
    assert (entry.preprocessing.image_size, entry.preprocessing.center_crop) == (224, 0.95)
    assert entry.source.endswith(": 288 x 288, central crop 1")
    assert find_entry("timm/resnet50.fb_swsl_ig1b_ft_in1k").licence == "CC-BY-NC-4.0"
    entry = find_entry("keras/resnet50_v1")
    assert (entry.model, entry.digest) == ("resnet50_v1", "md5:2cb95161c43110f7111970584f804107")
    entry = find_entry("timm/legacy_seresnet50.in1k")
    assert (entry.model, entry.names) == ("seresnet50", "timm_legacy")
    assert find_entry("timm/resnetv2_50.a1h_in1k").model == "resnet50_v2"


def test_list_weights():
    assert zoo.list_weights() == list(ENTRIES)
    found = zoo.list_weights("resnet50*")
    assert {ENTRIES[name].model for name in found} == {"resnet50", "resnet50_v1", "resnet50_v2"}
    assert "keras/resnet50_v1" in found
    assert "timm/resnetv2_50.a1h_in1k" in found
    assert found == sorted(found)
    assert all(name.startswith("keras/") for name in list_weights("keras/*"))
    assert list_weights("torchvision/vgg16.*") == ["torchvision/vgg16.IMAGENET1K_V1"]
    assert list_weights("lenet5") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet50.a1_1k", "unknown weights 'timm/resnet50.a1_1k'; did you mean timm/resnet50.a1_in1k or "),
        ("googlenet", "weights of googlenet have names of their own: torchvision/googlenet.IMAGENET1K_V1"),
        ("lenet5", "no weights of lenet5 are published; python -m zoo weights shows those that are"),
    ],
)
def test_a_name_that_there_is_not(name, message):
    with pytest.raises(RequestError) as caught:
        find_entry(name)
    assert str(caught.value).startswith(message)


def test_classes_are_named_as_in_datasets(tmp_path):
    import tensorflow_datasets as tfds

    names = class_names(find_entry("keras/vgg16"))
    assert len(set(names)) == 1000
    # The tench, the goldfish and the toilet tissue, at both ends of the list.
    assert (names[0], names[1], names[-1]) == ("n01440764", "n01443537", "n15075141")
    assert list(names) == tfds.builder("imagenet2012", data_dir=tmp_path).info.features["label"].names
    assert class_names(find_entry("timm/resnet50.bamboo")) is None


def test_importing_it_costs_little():
    code = (
        "import sys, zoo; zoo.list_weights(); from zoo.pretrained import catalog, downloading\n"
        "catalog.class_names(catalog.find_entry('keras/vgg16'))\n"
        "assert not {'tensorflow_datasets', 'huggingface_hub', 'h5py'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("model", make_catalog.KERAS)
def test_keras_has_these_addresses_and_digests(model):
    """As its sources have them, which build no net for it."""
    import keras

    build = getattr(keras.applications, make_catalog.KERAS[model][0])
    # ResNet-v2 is built by the file of ResNet.
    modules = {build.__module__, build.__module__.removesuffix("_v2")} & {*sys.modules}
    source = "".join(Path(sys.modules[name].__file__).read_text() for name in modules)
    row = ROWS[f"keras/{model}"]
    digest, folder = row["digest"].removeprefix("md5:"), row["url"].split("/")[-2]
    assert digest in source
    assert row["file"].partition("_weights")[0] in source
    assert f"keras-applications/{folder}/" in source.replace('"\n    "', "")
    size = 299 if "ception" in model else 224
    assert row == shown(make_catalog.of_keras(model, row["url"], row["file"], digest, size))


@pytest.mark.parametrize("model", make_catalog.KERAS)
def test_keras_preprocesses_so(model):
    import keras

    build = getattr(keras.applications, make_catalog.KERAS[model][0])
    module = next(
        module
        for name, module in vars(keras.applications).items()
        if hasattr(module, "preprocess_input") and hasattr(module, build.__name__) and name != "resnet50"
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype("float32")
    expected = module.preprocess_input(images.copy())
    mean, deviation = map(np.float32, ENTRIES[f"keras/{model}"].preprocessing.statistics)
    got = (images - mean) / deviation
    if make_catalog.KERAS_MODES.get(model) == make_catalog.CAFFE:
        got = got[..., ::-1]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("model", make_catalog.KERAS)
def test_keras_asks_for_this_file(model):
    assert shown(make_catalog.asked_of_keras(model)) == ROWS[f"keras/{model}"]


@pytest.mark.slow
def test_keras_has_no_other_weights_for_these_nets():
    import keras

    functions = {name for name in dir(keras.applications) if name[0].isupper()}
    others = ("ConvNeXt", "EfficientNet", "MobileNet", "NASNet")
    assert {name for name in functions if not name.startswith(others)} == {
        row[0] for row in make_catalog.KERAS.values()
    }


@pytest.fixture(scope="module")
def facts():
    script = Path(__file__).with_name("peer_facts.py")
    done = subprocess.run([PEER_PYTHON, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@needs_peers
def test_timm_says_the_same(facts):
    """But for scores, which are no part of the package."""
    scored = {"top1": "", "source": ""}
    made = {row["name"]: shown(row) | scored for row in make_catalog.of_timm(facts, {}, "")}
    assert {name: row | scored for name, row in ROWS.items() if name.startswith("timm/")} == made


@pytest.mark.slow
@needs_peers
def test_torchvision_says_the_same(facts):
    made = {row["name"]: shown(row) for row in make_catalog.of_torchvision(facts)}
    assert {name: row for name, row in ROWS.items() if name.startswith("torchvision/")} == made


@pytest.mark.slow
@needs_peers
def test_timm_scores_are_of_the_sizes_that_it_tests_at(facts):
    for name, config in facts["timm"].items():
        entry = ENTRIES.get(f"timm/{name}")
        if entry and entry.top1 is not None:
            size = (config["test_input_size"] or config["input_size"])[1]
            assert f": {size} x {size}, central crop " in entry.source
            crop = float(entry.source.rpartition(" ")[2])
            assert crop == pytest.approx(config["test_crop_pct"] or config["crop_pct"], abs=6e-4)


@pytest.mark.slow
@needs_peers
def test_timm_orders_the_classes_so(facts):
    assert class_names(find_entry("timm/resnet50.a1_in1k")) == tuple(facts["synsets"])


@pytest.mark.slow
@needs_peers
@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME"])
def test_torch_looks_in_the_same_folder(variable, tmp_path, monkeypatch):
    from zoo.pretrained.downloading import place

    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "torch's"))
    code = "import torch.hub; print(torch.hub.get_dir())"
    done = subprocess.run([PEER_PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert place(find_entry("torchvision/alexnet.IMAGENET1K_V1")).parent == Path(done.stdout.strip()) / "checkpoints"
