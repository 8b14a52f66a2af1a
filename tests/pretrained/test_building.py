"""Nets that are built with weights: from files, mappings, folders and entries of the catalog, and what is refused."""

import functools
import json
import re
import struct

import numpy as np
import publishers
import pytest
from checkpoints import empty, random, shapes_of

import zoo
from zoo import frameworks
from zoo.errors import RequestError
from zoo.pretrained import catalog, sources
from zoo.pretrained.layers import layers_by_name
from zoo.pretrained.loading import published_names

RESNET18 = next(net for net in publishers.NETS if net.label == "timm-resnet18")
SHAPE = (32, 32, 3)


@functools.cache
def state():
    """A state dict of timm's ResNet-18; variances are no less than 1, and kernels keep the size of what they take."""
    arrays = random(shapes_of(RESNET18))
    for name, array in arrays.items():
        if array.ndim > 1:
            array /= np.sqrt(array[0].size)
        elif name.endswith("running_var"):
            arrays[name] = 1 + np.abs(array)
    return arrays


def write_safetensors(path, arrays):
    header, offset = {}, 0
    for name, array in arrays.items():
        dtype = {"float32": "F32", "int64": "I64"}[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).tobytes())
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_safetensors(tmp_path_factory.mktemp("files") / "resnet18.safetensors", state())


def first_kernel(model):
    return model.get_layer("stem_conv").kernel.numpy()


def check_same(one, other, but=()):
    for left, right in zip(one.variables, other.variables, strict=True):
        if not left.path.startswith(but or ("/",)):
            assert np.array_equal(left.numpy(), right.numpy()), left.path


def test_every_published_entry_has_a_net_and_a_table_that_are_tested():
    tested = {(net.publisher, net.name): net for net in publishers.NETS}
    for entry in catalog.entries().values():
        publisher, _, name = entry.name.partition("/")
        assert entry.names in published_names(entry.model), entry.name
        if publisher == "keras":
            assert (entry.model, entry.names) in {(net.model, net.table) for net in publishers.NETS}
        else:
            net = tested[publisher, name.partition(".")[0]]
            assert (entry.model, entry.names) == (net.model, net.table), entry.name
            assert entry.num_classes in (0, 1000)


def test_older_names_and_the_zoos_own_tell_it_too():
    net = next(net for net in publishers.NETS if net.label == "torchvision-densenet121")
    older = {re.sub(r"(norm|conv)([12])\.", r"\1.\2.", name): value for name, value in empty(shapes_of(net)).items()}
    assert sources.of_mapping("weights", older).published(net.model) in published_names(net.model).values()
    # The first has most layers, 220 of 449, of names that Keras' could have.
    for name in ("inception_resnet_v2", "vgg16"):
        with frameworks.without_weights():
            model = zoo.build_model(name)
            own = {
                f"{layer}/{variable.name}": np.broadcast_to(np.float32(0), variable.shape)
                for layer, of_layer in layers_by_name(model).items()
                for variable in of_layer.weights
            }
        assert sources.of_mapping("weights", own).published(name) == published_names(name)["zoo"], name


@pytest.mark.parametrize("kind", ["file", "mapping"])
def test_a_net_is_built_with_the_weights(file, kind, capsys):
    weights = str(file) if kind == "file" else state()
    model = zoo.build_model("resnet18", SHAPE, weights=weights)
    assert np.array_equal(first_kernel(model), state()["conv1.weight"].transpose(2, 3, 1, 0))
    assert np.array_equal(model.get_layer("logits").kernel.numpy(), state()["fc.weight"].T)
    assert np.array_equal(model.get_layer("stage4_block2_2_bn").moving_variance, state()["layer4.1.bn2.running_var"])
    assert capsys.readouterr().err == ""
    # The same as a net that was built first.
    other = zoo.build_model("resnet18", SHAPE)
    assert not np.array_equal(first_kernel(other), first_kernel(model))
    assert zoo.load_weights(other, weights) is other
    check_same(model, other)
    images = np.random.default_rng(0).random((2, *SHAPE), "float32")
    assert np.array_equal(model(images, training=False), other(images, training=False))


def test_other_classes_have_a_new_classifier_and_a_line_says_so(file, capsys):
    whole = zoo.build_model("resnet18", SHAPE, weights=str(file))
    five = zoo.build_model("resnet18", SHAPE, 5, weights=str(file))
    assert five.output_shape == (None, 5)
    message = capsys.readouterr().err
    assert message == f"{file} has a classifier for 1000 classes; that of resnet18 is new\n"
    # Begun as the layer has it: Glorot's uniform rule.
    kernel = five.get_layer("logits").kernel.numpy()
    assert 0 < np.abs(kernel).max() <= (6 / (512 + 5)) ** 0.5
    assert len(np.unique(kernel)) > 2000
    check_same(
        zoo.build_model("resnet18", SHAPE, 0, weights=str(file)), zoo.build_model("resnet18", SHAPE, 0, weights=state())
    )
    assert capsys.readouterr().err == ""
    assert np.array_equal(first_kernel(whole), first_kernel(five))


def test_features_need_no_classifier(file, capsys):
    maps = zoo.build_model("resnet18", SHAPE, weights=str(file), features=True)
    assert set(maps.output) == {"stride2", "stride4", "stride8", "stride16", "stride32"}
    assert np.array_equal(first_kernel(maps), state()["conv1.weight"].transpose(2, 3, 1, 0))
    assert capsys.readouterr().err == ""


def test_grey_images_take_the_sum_over_the_channels(file):
    with pytest.raises(RequestError, match="sum"):
        zoo.build_model("resnet18", (32, 32, 1), weights=str(file))
    grey = zoo.build_model("resnet18", (32, 32, 1), weights=str(file), in_channels="sum")
    colour = zoo.build_model("resnet18", SHAPE, weights=str(file))
    with pytest.raises(RequestError, match="for grey images; resnet18 takes 3 channels here, leave 'sum' out"):
        zoo.build_model("resnet18", SHAPE, weights=str(file), in_channels="sum")
    image = np.random.default_rng(0).random((2, 32, 32, 1), "float32")
    ours, theirs = (np.asarray(x) for x in (grey(image), colour(np.repeat(image, 3, axis=-1))))
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_what_is_not_of_the_net_is_refused_in_one_line_and_nothing_is_set(file, tmp_path):
    model = zoo.build_model("resnet18", SHAPE)
    before = [variable.numpy() for variable in model.variables]

    def refused(message, weights, **arguments):
        with pytest.raises(RequestError, match=message) as error:
            zoo.load_weights(model, weights, **arguments)
        assert "\n" not in str(error.value)
        assert all(np.array_equal(old, new) for old, new in zip(before, model.variables, strict=True))

    lacking = {name: value for name, value in state().items() if name != "layer3.0.bn2.running_var"}
    refused("layer3.0.bn2.running_var", lacking)
    refused("layer9", {**state(), "layer9.0.conv1.weight": np.zeros((1, 1, 1, 1), "float32")})
    refused("conv1", {**state(), "conv1.weight": np.zeros((64, 3, 5, 5), "float32")})
    vgg = next(net for net in publishers.NETS if net.label == "timm-vgg11")
    refused("no publisher's resnet18", empty(shapes_of(vgg)))
    refused("there is no file or folder nothing.pth", "nothing.pth")
    refused("weights is ''", "")
    refused("did you mean", "timm/resnet18.a1_in2k")
    refused("unknown in_channels 'some'", str(file), in_channels="some")
    with pytest.raises(RequestError, match="in_channels is 'sum', which needs weights"):
        zoo.build_model("resnet18", in_channels="sum")
    with pytest.raises(RequestError, match="unknown hyperparameter of resnet18 'depth'"):
        zoo.build_model("resnet18", weights=str(file), depth=2)


def entry_at(monkeypatch, name, path):
    """An entry of the catalog whose file is here."""
    monkeypatch.setattr(sources, "local_file", lambda entry: path)
    return catalog.find_entry(name)


def test_a_name_of_the_catalog_brings_size_and_net(file, monkeypatch):
    entry = entry_at(monkeypatch, "timm/resnet18.a1_in1k", file)
    model = zoo.build_model("resnet18", weights=entry.name)
    side = entry.preprocessing.image_size
    assert model.input_shape == (None, side, side, 3)
    with pytest.raises(RequestError, match=r"timm/resnet18.a1_in1k has weights of resnet18; the model is resnet34"):
        zoo.build_model("resnet34", weights=entry.name)
    # Known by its name, before anything is downloaded.
    monkeypatch.setattr(sources, "local_file", None)
    with pytest.raises(RequestError, match=r"timm/resnet18.a1_in1k has weights of resnet18; the model is resnet50"):
        zoo.build_model("resnet50", weights=entry.name)
    monkeypatch.undo()
    entry = entry_at(monkeypatch, "timm/resnet18.a1_in1k", file)
    source = sources.open_source(entry.name)
    assert len(source.class_names[""]) == 1000
    assert source.class_names[""][:2] == ("n01440764", "n01443537")
    assert source.preprocessing == entry.preprocessing


def test_weights_dictate_what_their_net_is_built_with():
    net = next(net for net in publishers.NETS if net.label == "timm-resnetv2_50")
    weights, argument = empty(shapes_of(net)), dict(published_names(net.model)["timm"].arguments)
    [(key, value)] = argument.items()
    with pytest.raises(RequestError, match=f"{key} is {not value}; weights has weights of a net with {key}={value}"):
        zoo.build_model(net.model, (64, 64, 3), weights=weights, **{key: not value})
    plain = zoo.build_model(net.model, (64, 64, 3))
    with pytest.raises(RequestError, match=f"{key}={value}"):
        zoo.load_weights(plain, weights)
    assert zoo.build_model(net.model, (64, 64, 3), weights=weights, **argument).count_params() == plain.count_params()


def test_an_argument_that_another_publishers_nets_have_is_refused_though_every_array_fits():
    net = next(net for net in publishers.NETS if net.label == "timm-resnetv2_50")
    weights = empty(shapes_of(net))
    with pytest.raises(RequestError, match="stride_at_end is True; weights has weights of a net with stride_at_end=F"):
        zoo.build_model(net.model, (64, 64, 3), weights=weights, stride_at_end=True)
    other = zoo.build_model(net.model, (64, 64, 3), zero_padded_pool=False, stride_at_end=True)
    with pytest.raises(RequestError, match="stride_at_end=False"):
        zoo.load_weights(other, weights)


def test_a_mapping_may_hold_parameters_of_pytorch():
    class Parameter:
        """On a GPU, so NumPy takes no array of it before `cpu`."""

        def __init__(self, array, is_here=False):
            self._array, self._is_here = array, is_here

        def detach(self):
            return self

        def cpu(self):
            return Parameter(self._array, is_here=True)

        def float(self):
            return Parameter(self._array.astype("float32"), self._is_here)

        def is_floating_point(self):
            return self._array.dtype.kind == "f"

        def __array__(self, dtype=None, copy=None):
            assert self._is_here
            return self._array

    model = zoo.build_model("resnet18", SHAPE, weights={name: Parameter(value) for name, value in state().items()})
    check_same(model, zoo.build_model("resnet18", SHAPE, weights=state()))


def test_a_folder_of_a_hub_says_whose_weights_it_has(file, tmp_path):
    (tmp_path / "model.safetensors").symlink_to(file)
    described = {"architecture": "resnet18", "num_classes": 1000, "pretrained_cfg": {"tag": "a1_in1k"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    source = sources.open_source(str(tmp_path))
    assert (source.model, source.names, source.licence) == ("resnet18", "timm", "Apache-2.0")
    # Somebody's own, of other images and classes.
    own = {
        "tag": "",
        "input_size": [3, 64, 64],
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "label_names": ["a", "b"],
    }
    own |= {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    described |= {"num_classes": 2, "pretrained_cfg": own}
    (tmp_path / "config.json").write_text(json.dumps(described))
    source = sources.open_source(str(tmp_path))
    assert (source.model, source.num_classes, source.class_names) == ("resnet18", 2, {"": ("a", "b")})
    assert source.preprocessing.image_size == 64
    assert source.preprocessing.deviation == (63.75,) * 3
    with pytest.raises(RequestError, match="resnet18; the model is vgg11"):
        zoo.build_model("vgg11", weights=str(tmp_path))
    # What timm saves of a net that began as a published one; names of classes may be by number.
    described["pretrained_cfg"] = {"tag": "a1_in1k", "num_classes": 1000}
    described["label_names"] = {"1": "b", "0": "a"}
    (tmp_path / "config.json").write_text(json.dumps(described))
    source = sources.open_source(str(tmp_path))
    assert (source.model, source.num_classes, source.class_names) == ("resnet18", 2, {"": ("a", "b")})
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": None}))
    assert sources.open_source(str(tmp_path)).model == "resnet18"
