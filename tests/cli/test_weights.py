"""python -m zoo weights, as a user meets it."""

import json

import pytest

import zoo
from zoo.cli import console
from zoo.cli.commands import run_zoo
from zoo.pretrained.catalog import entries
from zoo.pretrained.downloading import place


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """The command, with caches in which nothing is."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TORCH_HOME", "KERAS_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def run(*argv):
        status = console.run(run_zoo, ["weights", *argv])
        return status, *capsys.readouterr()

    return run


def test_a_line_for_each_under_its_net(command):
    status, out, err = command()
    assert (status, err) == (0, "")
    table, legend = out.split("\n\n")
    lines = table.splitlines()
    assert max(map(len, out.splitlines())) <= 80
    names = [line.split()[0] for line in lines if line.startswith(" ")]
    nets = [line.partition(",")[0] for line in lines if not line.startswith(" ")]
    assert sorted(names) == zoo.list_weights()
    assert sorted(set(nets)) == sorted({entry.model for entry in entries().values()})
    assert lines[0].split() == ["alexnet,", "1000", "classes", "MB", "licence", "px", "top-1"]
    assert lines[1].split() == ["torchvision/alexnet.IMAGENET1K_V1", "244", "BSD-3-Clause", "224", "56.5"]
    assert "* is here already" in legend


def test_a_pattern_of_nets_or_names(command):
    _, out, _ = command("resnet50*")
    lines = out.partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines if line.startswith(" ")] == sorted(
        zoo.list_weights("resnet50*"), key=lambda name: (entries()[name].model, name.endswith("bamboo"), name)
    )
    cells = [line.split() for line in lines]
    assert ["keras/resnet50_v1", "103", "MIT", "224", "74.9"] in cells
    assert ["timm/resnet50.a1_in1k", "~102", "Apache-2.0", "224", "81.2"] in cells
    assert "resnet50, no classifier" in lines
    # Neither a licence nor a score is stated.
    assert ["timm/resnet50.bamboo", "~102", "-", "224", "-"] in cells
    _, out, _ = command("keras/*")
    assert {line.split()[0].partition("/")[0] for line in out.splitlines() if line.startswith(" ")} == {"keras"}


def test_what_is_here_has_a_mark(command):
    entry = entries()["keras/vgg16"]
    _, out, _ = command("vgg16")
    assert "\n* " not in out.partition("\n\n")[0]
    place(entry).parent.mkdir(parents=True)
    place(entry).write_bytes(b"")
    _, out, _ = command("vgg16")
    marked = [line.split() for line in out.partition("\n\n")[0].splitlines() if line.startswith("*")]
    assert marked == [["*", "keras/vgg16", "554", "CC-BY-4.0", "224", "71.3"]]
    _, out, _ = command("keras/vgg16")
    assert f"is here        {place(entry)}\n" in out


def test_all_of_one(command, tmp_path):
    status, out, err = command("timm/resnet50.a1h_in1k")
    assert (status, err) == (0, "")
    assert (
        out
        == f"""timm/resnet50.a1h_in1k

net            resnet50, 1000 classes of ImageNet
file           https://huggingface.co/timm/resnet50.a1h_in1k/resolve/main/model.safetensors
size           ~102 MB (four bytes for each parameter of the net; the publisher
               does not state it)
digest         a SHA-256 that the hub states at the download
goes to        {tmp_path}/HF_HOME/hub/models--timm--resnet50.a1h_in1k
licence        Apache-2.0
images         central 0.9 of the shorter side to 176 x 176, bicubic; (levels -
               (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
top-1          80.676 % on ImageNet
source         github.com/huggingface/pytorch-image-models,
               results/results-imagenet.csv at 0173a139: 224 x 224, central crop
               1
names          as in the table timm of the net's family
"""
    )


def test_all_of_one_with_a_note(command, tmp_path):
    # The only one that fits.
    _, out, _ = command("googlenet")
    assert out.startswith("torchvision/googlenet.IMAGENET1K_V1\n\n")
    assert f"goes to        {tmp_path}/TORCH_HOME/hub/checkpoints/googlenet-1378be20.pth\n" in out
    assert "digest         sha256:1378be20\n" in out
    assert "size           52 MB\n" in out
    said = " ".join(out.split())
    assert "images central 0.875 of the shorter side to 224 x 224, bilinear; (levels - 127.5) / 127.5 top-1" in said
    assert "note           The publisher normalises for ImageNet and the net anew, which\n" in out
    _, out, _ = command("timm/resnet50.bamboo")
    assert "net            resnet50, no classifier\n" in out
    assert "licence        the publisher states none\n" in out
    assert "images         central square to 224 x 224, bicubic;" in out
    assert "top-1          the publisher's list has none\n" in out


def test_for_machines(command, tmp_path):
    _, out, _ = command("vgg16", "--json")
    found = json.loads(out)
    assert [entry["name"] for entry in found] == zoo.list_weights("vgg16")
    entry = found[0]
    assert list(entry) == [
        *("name", "model", "names", "arguments", "num_classes", "classes", "url", "file", "digest", "megabytes"),
        *("licence", "preprocessing", "top1", "source", "note", "address", "place", "here"),
    ]
    assert entry["preprocessing"]["mean"] == [123.68, 116.779, 103.939]
    assert (entry["megabytes"], entry["here"]) == (554, False)
    assert entry["place"] == f"{tmp_path}/KERAS_HOME/models/vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    assert found[1]["address"] == "https://huggingface.co/timm/vgg16.tv_in1k/resolve/main/model.safetensors"
    assert found[1]["megabytes"] is None
    assert command("nothing*", "--json")[:2] == (0, "[]\n")


@pytest.mark.parametrize("json_too", [(), ("--json",)], ids=["", "json"])
@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("resnt50", "unknown weights 'resnt50'; did you mean resnet50 or seresnet50 or resnet50_v2?"),
        ("timm/resnet50.a1_1k", "unknown weights 'timm/resnet50.a1_1k'; did you mean timm/resnet50.a1_in1k or "),
        ("timm", "timm is a publisher; python -m zoo weights 'timm/*' shows its weights"),
        ("lenet5", "no weights of lenet5 are published; python -m zoo weights shows those that are"),
    ],
)
def test_nothing_of_that_name(command, pattern, message, json_too):
    status, out, err = command(pattern, *json_too)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_nothing_that_fits(command):
    assert command("nothing*") == (
        *(2, "", "error: no weights fit 'nothing*'; python -m zoo weights shows all of them\n"),
    )
