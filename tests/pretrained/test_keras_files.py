"""Files of Keras against the nets that it saved, and HDF5 files that point elsewhere or declare what is not there."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from pretrained_files import assert_same, counted

from zoo.errors import RequestError
from zoo.pretrained.files import read_weights


def small_net(**batch_normalization) -> keras.Model:
    """Layers of all kinds, with a net in the net, and an operation called as a layer is."""
    tower = keras.Sequential(
        [keras.Input((6, 6, 4)), keras.layers.Conv2D(2, 3, name="c"), keras.layers.BatchNormalization(name="b")],
        name="tower",
    )
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 1, use_bias=False, name="conv1")(image)
    x = keras.layers.BatchNormalization(name="conv1_bn", **batch_normalization)(x)
    x = keras.ops.add(x, keras.layers.Add(name="sum")([x, x]))
    x = keras.layers.SeparableConv2D(4, 3, padding="same", name="sep")(x)
    x = keras.layers.DepthwiseConv2D(1, name="dw")(x)
    x = keras.layers.LayerNormalization(name="ln")(x)
    x = keras.layers.PReLU(shared_axes=[1, 2], name="act")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(tower(x)))
    net = keras.Model(image, keras.layers.Dense(2, name="dense")(x), name="net")
    rng = np.random.default_rng(0)
    for variable in net.variables:
        if "seed" not in variable.path:
            variable.assign(rng.standard_normal(variable.shape))
    return net


def arrays_of(net: keras.Model) -> dict[str, np.ndarray]:
    """`layer/variable`, and `net/layer/variable` of a net in a net."""
    found = {}
    for layer in net.layers:
        if isinstance(layer, keras.Model):
            found |= {f"{layer.name}/{name}": value for name, value in arrays_of(layer).items()}
        else:
            found |= {f"{layer.name}/{variable.name}": variable.numpy() for variable in layer.weights}
    return found


@pytest.fixture(scope="module")
def net():
    return small_net()


@pytest.mark.parametrize("ending", ["keras", "weights.h5", "h5"])
def test_what_keras_saves(net, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    net.save_weights(path) if ending == "weights.h5" else net.save(path)
    read = read_weights(path)
    assert read.style == "keras"
    assert_same(read.arrays, arrays_of(net))
    assert {"conv1/kernel", "conv1_bn/gamma", "conv1_bn/moving_mean", "sep/depthwise_kernel", "dense/bias"} < {
        *read.arrays
    }
    with pytest.raises(ValueError, match="read-only"):
        read.arrays["conv1/kernel"][:] = 0


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_the_state_of_training_is_left_out(tmp_path, ending):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    net.compile("adam", "mse", metrics=["mae"])
    net.optimizer.build(net.trainable_variables)
    net.save(tmp_path / f"a.{ending}")
    assert_same(read_weights(tmp_path / f"a.{ending}").arrays, arrays_of(net))


@pytest.mark.parametrize("settings", [{"scale": False}, {"center": False}])
def test_variables_that_could_be_one_or_the_other(tmp_path, settings):
    net = small_net(**settings)
    net.save(tmp_path / "a.keras")
    assert_same(read_weights(tmp_path / "a.keras").arrays, arrays_of(net))
    net.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(RequestError, match=r"3 variables of 'conv1_bn' could be .*; save the model as a \.keras file"):
        read_weights(tmp_path / "a.weights.h5")


def test_bfloat16_becomes_float32(tmp_path):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, dtype=keras.DTypePolicy("bfloat16"), name="d")])
    net.layers[0].kernel.assign(counted(3, 4))
    net.layers[0].bias.assign(counted(4))
    net.save(tmp_path / "a.keras")
    assert_same(read_weights(tmp_path / "a.keras").arrays, {"d/kernel": counted(3, 4), "d/bias": counted(4)})


def rewritten(path, *, config=None, names=False):
    """A `.keras` file as the first Keras 3 wrote it, without the names of layers, or with another config."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    if not names:
        weights = io.BytesIO(contents["model.weights.h5"])
        with h5py.File(weights, "a") as file:
            file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
        contents["model.weights.h5"] = weights.getvalue()
    contents["config.json"] = config or contents["config.json"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def test_names_from_the_config(net, tmp_path):
    net.save(tmp_path / "a.keras")
    rewritten(tmp_path / "a.keras")
    assert_same(read_weights(tmp_path / "a.keras").arrays, arrays_of(net))


def test_names_are_classes_where_nothing_says_them(net, tmp_path):
    net.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    found = read_weights(tmp_path / "a.weights.h5").arrays
    np.testing.assert_array_equal(found["conv2d/kernel"], arrays_of(net)["conv1/kernel"])
    np.testing.assert_array_equal(found["sequential/conv2d/bias"], arrays_of(net)["tower/c/bias"])


def test_a_layer_that_is_not_known_keeps_its_numbers(tmp_path):
    net = keras.Sequential([keras.Input((4, 3)), keras.layers.LSTM(2, name="lstm")])
    net.save(tmp_path / "a.keras")
    found = read_weights(tmp_path / "a.keras").arrays
    values = dict(enumerate(net.get_weights()))
    assert_same(found, {f"lstm/lstm_cell/{number}": value for number, value in values.items()})


def test_the_code_of_a_layer_is_not_looked_at(tmp_path):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Dense(2, name="d")])
    net.save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        config = json.loads(archive.read("config.json"))
    assert config["config"]["layers"][1]["class_name"] == "Lambda"
    # What Python could not run, if it tried.
    config["config"]["layers"][1]["config"]["function"]["config"]["code"] = "bm9uc2Vuc2U="
    rewritten(tmp_path / "a.keras", config=json.dumps(config).encode(), names=True)
    assert_same(read_weights(tmp_path / "a.keras").arrays, arrays_of(net))


def keras_2(path, layers: dict[str, dict[str, np.ndarray]], **options):
    """A file of weights as Keras 1 and 2 wrote them: names of layers, and in each the names of its arrays."""
    with h5py.File(path, "w", **options) as file:
        names = [name.encode() for name in layers]
        parts = np.array_split(names, 2) if len(names) > 100 else [names]
        for number, part in enumerate(parts):
            file.attrs["layer_names" + (str(number) if len(parts) > 1 else "")] = part
        for layer, arrays in layers.items():
            group = file.require_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, value in arrays.items():
                group[name] = value
    return path


KERNEL, ROW = counted(3, 3, 2, 4), counted(4)
BATCH = ("gamma", "beta", "moving_mean", "moving_variance")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({"conv1": ("conv1/kernel:0", "conv1/bias:0")}, ("conv1/kernel", "conv1/bias")),
        ({"conv1": ("conv1_1/kernel:0",)}, ("conv1/kernel",)),
        ({"conv1": ("net/conv1/kernel:0",)}, ("conv1/kernel",)),
        ({"conv1": ("net_2/conv1_3/kernel:0",)}, ("conv1/kernel",)),
        # Layers of DenseNet have a slash in their names.
        (
            {"conv1/conv": ("conv1/conv/kernel:0",), "conv1/bn": ("conv1/bn/gamma:0",)},
            ("conv1/conv/kernel", "conv1/bn/gamma"),
        ),
        ({"input_1": (), "fc": ("fc/kernel:0",)}, ("fc/kernel",)),
        # VGG-16, whose file is of Keras 1.
        ({"block1_conv1": ("block1_conv1_W_1:0", "block1_conv1_b_1:0")}, ("block1_conv1/kernel", "block1_conv1/bias")),
        (
            {"bn2a": ("bn2a_gamma:0", "bn2a_beta:0", "bn2a_running_mean:0", "bn2a_running_std:0")},
            tuple(f"bn2a/{name}" for name in BATCH),
        ),
        (
            {"s_1": ("s_1_depthwise_kernel:0", "s_1_pointwise_kernel:0")},
            ("s_1/depthwise_kernel", "s_1/pointwise_kernel"),
        ),
        ({"dw": ("dw/depthwise_kernel:0",)}, ("dw/kernel",)),
        ({"tower": ("c/kernel:0", "b/gamma:0")}, ("tower/c/kernel", "tower/b/gamma")),
        # The zoo's towers have a second name, which stands in those of their variables.
        ({"tower": ("tower/cnn/c/kernel", "tower/cnn/b/gamma")}, ("tower/c/kernel", "tower/b/gamma")),
        ({"tower": ("tower/c/kernel", "tower/c/bias")}, ("tower/c/kernel", "tower/c/bias")),
        ({"tower": ("net/tower/c/kernel:0", "net/tower/b/gamma:0")}, ("tower/c/kernel", "tower/b/gamma")),
    ],
)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_names_of_keras_2(tmp_path, layers, expected, libver):
    numbered = iter(range(100))
    made = {layer: {name: ROW + next(numbered) for name in names} for layer, names in layers.items()}
    path = keras_2(tmp_path / "a.h5", made, libver=libver)
    values = [value for arrays in made.values() for value in arrays.values()]
    assert_same(read_weights(path).arrays, dict(zip(expected, values, strict=True)))


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
def test_many_layers_in_every_version_of_the_format(tmp_path, libver):
    layers = {f"conv_of_stage_{number}": {"kernel:0": ROW + number} for number in range(600)}
    path = keras_2(tmp_path / "a.h5", layers, libver=libver)
    found = read_weights(path).arrays
    assert_same(found, {f"{layer}/kernel": arrays["kernel:0"] for layer, arrays in layers.items()})
    assert [*found] == [f"{layer}/kernel" for layer in layers]


@pytest.mark.parametrize("dtype", ["<f8", "<f2", ">f4", ">f8", "<i8", ">i4", "u1", "i2"])
def test_types(tmp_path, dtype):
    path = keras_2(tmp_path / "a.h5", {"a": {"kernel:0": counted(2, 3).astype(dtype), "bias:0": np.array(3, dtype)}})
    found = read_weights(path).arrays
    expected = np.dtype("float32") if dtype == "<f2" else np.dtype(dtype)
    assert (found["a/kernel"].dtype, found["a/bias"].shape) == (expected, ())
    np.testing.assert_array_equal(found["a/kernel"], counted(2, 3).astype(dtype))


def external_link(file):
    file["a/kernel:0"] = h5py.ExternalLink("other.h5", "secret")


def soft_link(file):
    file["a/kernel:0"] = h5py.SoftLink("/secret")


def external_storage(file):
    file["a"].create_dataset("kernel:0", (4,), "f4", external=[("other.bin", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (4,))
    file["a"].create_virtual_dataset("kernel:0", layout)


def packed(file):
    file["a"].create_dataset("kernel:0", data=np.zeros(2**16, "f4"), compression="gzip")


def huge_in_pieces(file):
    file["a"].create_dataset("kernel:0", (2**40,), "f4", chunks=(2**20,), compression="gzip")


def huge_and_not_there(file):
    file["a"].create_dataset("kernel:0", (2**40,), "f4")


def not_there(file):
    file["a"].create_dataset("kernel:0", (4,), "f4")


def texts(file):
    file["a"].create_dataset("kernel:0", data=[b"one", b"two"])


def long_texts(file):
    file["a"].create_dataset("kernel:0", data="text")


def structures(file):
    file["a"].create_dataset("kernel:0", data=np.zeros(3, [("x", "f4"), ("y", "f4")]))


def references(file):
    file["a"].create_dataset("kernel:0", data=file["a"].ref, dtype=h5py.ref_dtype)


def opaque(file):
    file["a"].create_dataset("kernel:0", data=np.zeros(3, "V2"))


def a_group(file):
    file["a"].create_group("kernel:0")


def nothing(file):
    file["a"]["kernel:0"] = h5py.Empty("f4")


def no_names(file):
    file["a"]["kernel:0"] = ROW
    del file["a"].attrs["weight_names"]


def numbers_as_names(file):
    file["a"]["kernel:0"] = ROW
    file["a"].attrs["weight_names"] = [1, 2]


def a_layer_twice(file):
    file["a"]["kernel:0"] = ROW
    file.attrs["layer_names"] = [b"a", b"a"]


def an_array_twice(file):
    file["a"]["kernel:0"] = ROW
    file["a"]["b/kernel:0"] = ROW
    file["a"].attrs["weight_names"] = [b"kernel:0", b"kernel:0"]


def a_name_of_two_layers(file):
    file.create_group("a/b")
    file["a/b"].attrs["weight_names"] = [b"a/b/kernel:0"]
    file["a/b"]["a/b/kernel:0"] = ROW
    file["a"]["a/b/kernel:0"] = ROW
    file["a"].attrs["weight_names"] = [b"a/b/kernel:0"]
    file.attrs["layer_names"] = [b"a", b"a/b"]


def a_name_upwards(file):
    file["a"].attrs["weight_names"] = [b"../secret"]


def an_endless_path(file):
    file["a"]["again"] = file["a"]
    file["a"]["kernel:0"] = ROW
    file["a"].attrs["weight_names"] = [b"again/" * 40 + b"kernel:0"]


def a_long_name(file):
    file["a"]["k" * 2000] = ROW
    file["a"].attrs["weight_names"] = np.array(["k" * 2000], object)


MADE = [
    *(external_link, soft_link, external_storage, virtual, packed, huge_in_pieces, huge_and_not_there, not_there),
    *(texts, long_texts, structures, references, opaque, a_group, nothing, no_names, numbers_as_names, a_layer_twice),
    *(an_array_twice, a_name_of_two_layers, a_name_upwards, an_endless_path, a_long_name),
]


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_what_keras_never_writes_is_refused(tmp_path, make, libver):
    """Also where what is pointed at is there."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = ROW
    (tmp_path / "other.bin").write_bytes(ROW.tobytes())
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        file["secret"] = ROW
        file.attrs["layer_names"] = [b"a"]
        file.create_group("a").attrs["weight_names"] = [b"kernel:0"]
        make(file)
    with pytest.raises(RequestError) as caught:
        read_weights(tmp_path / "a.h5")
    assert "\n" not in str(caught.value)


def test_a_group_that_is_in_itself(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.create_group("layers/dense/vars")
        for name in ("layers", "cells", "more"):
            file["layers/dense"][name] = file["layers"]
    with pytest.raises(RequestError, match=r"nested too deep|more layers|more parts"):
        read_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b'{"config": {"layers": [1]}}',
        b'{"config": {"layers": [{"config": {}}]}}',
        b'{"a": NaN}',
        b'{"a": ' * 100_000,
        b'{"a": 1, "a": 2}',
    ],
)
def test_a_config_that_is_none(net, tmp_path, config):
    net.save(tmp_path / "a.keras")
    rewritten(tmp_path / "a.keras", config=config or b" ")
    with pytest.raises(RequestError) as caught:
        read_weights(tmp_path / "a.keras")
    assert "\n" not in str(caught.value)


def test_a_packed_file_is_refused(net, tmp_path):
    net.save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(RequestError, match="compressed"):
        read_weights(tmp_path / "a.keras")


@pytest.mark.parametrize("ending", ["keras", "weights.h5", "h5"])
def test_every_cut_is_refused(net, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    net.save_weights(path) if ending == "weights.h5" else net.save(path)
    whole = path.read_bytes()
    for length in [*range(1, 200, 23), *range(200, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(RequestError) as caught:
            read_weights(path)
        assert "\n" not in str(caught.value)
