"""Nets for images of every size: height and width are left open where no weight depends on them."""

import numpy as np
import pytest
import tensorflow as tf
import weightless
from weightless import INFOS, slow_unless

import zoo
from zoo.analysis.nets import graph

OPEN = (None, None, 3)
# These flatten their last feature map, or have a tower that does.
CLOSED = {"alexnet", "lenet5", "mlp", "multi_input", "multi_output", "siamese", "siamese_koch", "simple_cnn", "triplet"}
CLOSED |= {name for name, info in INFOS.items() if info.family == "vgg"}
# The smallest of each family that takes open sizes, and the least side of its images.
ONE_OF_EACH = {
    "all_cnn_c": 9,
    "nin": 4,
    "resnet20": 4,
    "wrn_16_4": 4,
    "densenet_bc_100_12": 4,
    "densenet121": 32,
    "googlenet": 32,
    "inception_resnet_v2": 75,
    "inception_v3": 75,
    "inception_v4": 75,
    "resnet18": 32,
    "resnet50_v2": 32,
    "resnext50_32x4d": 32,
    "seresnet18": 32,
    "xception": 32,
}
QUICK = {"all_cnn_c", "nin", "resnet20"}


def test_every_family_with_global_pooling_is_tried():
    assert {INFOS[name].family for name in ONE_OF_EACH} == {INFOS[name].family for name in INFOS.keys() - CLOSED}


@pytest.mark.parametrize("name", slow_unless(sorted(INFOS.keys() - CLOSED), QUICK))
def test_open_sizes_change_no_weight(name):
    model = weightless.build(name, input_shape=OPEN)
    assert model.inputs[0].shape == (None, *OPEN)
    assert [w.shape for w in model.weights] == [w.shape for w in weightless.build(name).weights]
    assert graph.count_parameters(model.trainable_weights) == INFOS[name].parameters


@pytest.mark.parametrize("shape", [OPEN, (None, 64, 3), (64, None, 3)], ids=str)
@pytest.mark.parametrize("name", sorted(CLOSED))
def test_nets_whose_weights_depend_on_the_size_refuse_it(name, shape):
    with pytest.raises(zoo.RequestError, match=r"its weights depend on") as refused:
        zoo.build_model(name, shape)
    assert len(str(refused.value)) < 160


@pytest.mark.parametrize(
    "name",
    slow_unless([name for name, info in INFOS.items() if "features" in info.hyperparameters], weightless.ONE_OF_EACH),
)
def test_features_depend_on_no_size(name):
    model = weightless.build(name, input_shape=OPEN, features=True)
    for maps in model.output.values():
        assert maps.shape[:3] == (None, None, None)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_need_a_size(name):
    with pytest.raises(zoo.RequestError, match=r"its weights depend on height and width"):
        zoo.build_model(name, OPEN, aux_heads=True)


def test_a_tower_of_open_size_makes_a_pair_of_open_size():
    model = zoo.build_model("siamese", OPEN, tower="resnet20")
    images = np.zeros((1, 9, 12, 3), np.float32)
    assert model({"left": images, "right": images}).shape == (1, 1)


@pytest.mark.parametrize("name", slow_unless(ONE_OF_EACH, QUICK))
def test_images_of_two_sizes_give_what_nets_of_these_sizes_give(name, tmp_path):
    least = ONE_OF_EACH[name]
    model = zoo.build_model(name, OPEN, 5)
    model.save(tmp_path / "model.keras")
    loaded = zoo.load_model(tmp_path / "model.keras")
    for height, width in ((least, least + 5), (least + 8, least)):
        images = np.random.default_rng(height).normal(size=(2, height, width, 3)).astype(np.float32)
        fixed = zoo.build_model(name, (height, width, 3), 5)
        fixed.set_weights(model.get_weights())
        expected = fixed(images)
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(model(images), expected)
        np.testing.assert_array_equal(loaded(images), expected)


def test_the_least_size_counts_for_a_side_that_is_given():
    with pytest.raises(zoo.RequestError, match="height and width must be at least 4"):
        zoo.build_model("resnet20", (None, 3, 3))


@pytest.mark.parametrize(
    "shape",
    [[16, 16, 3], tf.TensorShape([16, 16, 3]), np.array([16, 16, 3]), (np.int64(16), np.int32(16), 3)],
    ids=lambda shape: type(shape).__name__,
)
def test_shapes_of_other_types_are_as_good(shape):
    with graph.without_weights():
        model = zoo.build_model("resnet20", shape)
    assert model.inputs[0].shape == (None, 16, 16, 3)
    assert all(type(size) is int for size in model.get_config()["layers"][0]["config"]["batch_shape"][1:])


def test_an_open_shape_of_tensorflows_is_as_good():
    with graph.without_weights():
        assert zoo.build_model("resnet20", tf.TensorShape([None, None, 3])).inputs[0].shape == (None, *OPEN)


@pytest.mark.parametrize(
    "shape", [tf.TensorShape(None), (None, None, None), (None,), (8, 8, None), [0, 8, 3], {8: 1.5}.values()], ids=repr
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(zoo.RequestError, match="input_shape is"):
        zoo.build_model("resnet20", shape)


def test_hyperparameters_of_numpy_are_as_good():
    with graph.without_weights():
        model = zoo.build_model(
            "multi_input",
            tower="simple_cnn",
            tower_args={"filters": np.array([4, 8]), "hidden_units": np.int64(16), "batch_norm": np.bool_(False)},
            vector_size=np.int32(7),
            num_classes=np.uint8(5),
            dropout=np.float32(0.25),
        )
        assert model.get_layer("tower").get_layer("conv2").filters == 8
        assert zoo.build_model("multi_output", heads={"a": np.int64(3)}).output["a"].shape == (None, 3)
        assert zoo.build_model("mlp", hidden_sizes=np.array([8, 4])).get_layer("hidden2").units == 4
    assert model.outputs[0].shape == (None, 5)
