import keras
import numpy as np
import pytest
import tensorflow as tf
import weightless

import zoo
from zoo import registry
from zoo.analysis.nets import graph
from zoo.models.functional.siamese import unit_length

DISTANCES = ("l1", "l2", "cosine")
# A Sequential and a Functional tower.
TOWERS = {"simple_cnn": {"filters": [4, 8], "hidden_units": 16}, "resnet20": {}}
TOWER_NAMES = ["simple_cnn", pytest.param("resnet20", marks=pytest.mark.slow)]


def images(*names, shape=(16, 16, 1), count=3):
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((count, *shape)).astype("float32") for name in names}


def small(name="siamese", **hyperparameters):
    keras.utils.set_random_seed(0)
    small_tower = {"tower_args": TOWERS["simple_cnn"], **hyperparameters}
    return zoo.build_model(name, (16, 16, 1), **small_tower)


def by_hand(left, right, distance):
    """The comparison of embeddings and the distance, in float64."""
    left, right = np.asarray(left, "float64"), np.asarray(right, "float64")
    if distance == "l1":
        return np.abs(left - right), np.abs(left - right).sum(1)
    if distance == "l2":
        return (left - right) ** 2, np.linalg.norm(left - right, axis=1)
    product = left / np.linalg.norm(left, axis=1, keepdims=True) * right / np.linalg.norm(right, axis=1, keepdims=True)
    return product, 1 - product.sum(1)


@pytest.mark.parametrize("tower", TOWER_NAMES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_outputs_are_those_by_hand(tower, distance):
    pair = images("left", "right")
    arguments = {"tower": tower, "tower_args": TOWERS[tower], "distance": distance}
    keras.utils.set_random_seed(0)
    net = zoo.build_model(tower, (16, 16, 1), 0, **TOWERS[tower])
    compared, expected = by_hand(net(pair["left"]), net(pair["right"]), distance)

    model = small(**arguments)
    model.get_layer("tower").set_weights(net.get_weights())
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(model(pair), compared @ kernel + bias, rtol=1e-4, atol=1e-5)

    by_distance = small(**arguments, head="distance")
    by_distance.set_weights(net.get_weights())
    assert by_distance(pair).shape == (3, 1)
    np.testing.assert_allclose(by_distance(pair)[:, 0], expected, rtol=1e-4, atol=1e-5)

    features = zoo.build_model("siamese", (16, 16, 1), 0, **arguments)
    features.set_weights(net.get_weights())
    np.testing.assert_allclose(features(pair), compared, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_embedding_size_adds_a_dense_layer_to_the_shared_tower(distance):
    model = small(embedding_size=5, distance=distance, head="distance")
    tower = model.get_layer("tower")
    assert tower.output_shape == (None, 5)
    pair = images("left", "right")
    _, expected = by_hand(tower(pair["left"]), tower(pair["right"]), distance)
    np.testing.assert_allclose(model(pair)[:, 0], expected, rtol=1e-4, atol=1e-5)
    kernel, bias = tower.get_layer("embedding").get_weights()
    net = keras.Model(tower.input, tower.get_layer("hidden").output)
    _, expected = by_hand(net(pair["left"]) @ kernel + bias, net(pair["right"]) @ kernel + bias, distance)
    np.testing.assert_allclose(model(pair)[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_both_sides_share_one_set_of_weights():
    model = small()
    tower = model.get_layer("tower")
    assert [v.path for v in model.variables[: len(tower.variables)]] == [v.path for v in tower.variables]
    assert len(model.variables) == len(tower.variables) + 2
    pair = images("left", "right")
    before = model(pair).numpy()
    tower.get_layer("conv1").kernel.assign(tower.get_layer("conv1").kernel * 2 + 1)
    left, right = tower(pair["left"]), tower(pair["right"])
    kernel, bias = model.get_layer("logits").get_weights()
    assert np.all(model(pair) != before)
    np.testing.assert_allclose(model(pair), np.abs(left - right) @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_the_sum_of_both_sides():
    model = small(distance="l2", head="distance")
    tower, pair = model.get_layer("tower"), images("left", "right")
    variables = tower.trainable_variables

    def gradients(compute):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(compute())
        return tape.gradient(loss, variables)

    def one_side(learning, fixed):
        return lambda: tf.norm(tower(pair[learning]) - tf.stop_gradient(tower(pair[fixed])), axis=1)

    both = gradients(lambda: model(pair))
    left, right = gradients(one_side("left", "right")), gradients(one_side("right", "left"))
    for total, one, other in zip(both, left, right, strict=True):
        assert np.any(one)
        assert np.any(other)
        np.testing.assert_allclose(total, one + other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("head", ["logit", "distance"])
@pytest.mark.parametrize("distance", DISTANCES)
def test_swapping_the_sides_changes_nothing(distance, head):
    model, pair = small(distance=distance, head=head), images("left", "right")
    swapped = {"left": pair["right"], "right": pair["left"]}
    np.testing.assert_array_equal(model(swapped), model(pair))


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_images_are_at_distance_0_with_a_finite_gradient(distance):
    model, image = small(distance=distance, head="distance"), images("left")["left"]
    np.testing.assert_allclose(model({"left": image, "right": image}), np.zeros((3, 1)), atol=2e-6)
    # A blank image's embedding is zero, which has no direction.
    for same in (image, np.zeros_like(image)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model({"left": same, "right": same}))
        for gradient in tape.gradient(loss, model.trainable_variables):
            assert np.isfinite(gradient).all()


def test_towers_of_vectors():
    model = zoo.build_model("siamese", (7,), tower="mlp", tower_args={"hidden_sizes": [5]})
    assert model(images("left", "right", shape=(7,))).shape == (3, 1)


@pytest.mark.parametrize("name", ["siamese", "triplet"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_are_float32_under_mixed_precision(name, policy, restore_dtype_policy):
    keras.config.set_dtype_policy(policy)
    for choice in DISTANCES if name == "siamese" else (None,):
        model = small(name, **({"distance": choice} if choice else {}))
        assert model.get_layer("tower").get_layer("conv1").compute_dtype == policy.removeprefix("mixed_")
        for output in tf.nest.flatten(model(images(*model.input))):
            assert output.dtype == "float32"
            assert np.isfinite(output).all()


def test_float16_features_are_compared_in_float32(restore_dtype_policy):
    """300 squared is beyond float16."""
    keras.config.set_dtype_policy("mixed_float16")
    model = small(distance="l2", head="distance")
    x = keras.ops.convert_to_tensor(np.array([[300.0] * 16, [0.0] * 16], "float16"))
    compare = keras.Model(model.get_layer("difference").input, model.output)
    np.testing.assert_allclose(compare([x[:1], x[1:]]), [[1200.0]], rtol=1e-6)


@pytest.mark.parametrize("tower", TOWER_NAMES)
@pytest.mark.parametrize(
    ("name", "hyperparameters"),
    [
        ("siamese", {}),
        ("siamese", {"distance": "l2", "head": "distance", "embedding_size": 4}),
        ("siamese", {"distance": "cosine", "head": "distance"}),
        ("triplet", {"embedding_size": 4}),
    ],
)
def test_saved_model_gives_the_same_outputs(name, hyperparameters, tower, tmp_path):
    model = small(name, tower=tower, tower_args=TOWERS[tower], **hyperparameters)
    model.save(tmp_path / "model.keras")
    loaded, x = zoo.load_model(str(tmp_path / "model.keras")), images(*model.input)
    tf.nest.map_structure(np.testing.assert_array_equal, loaded(x), model(x))
    assert len(loaded.variables) == len(model.variables)


@pytest.mark.slow
def test_compile_and_fit_work():
    keras.utils.set_random_seed(0)
    model, pairs, same = small(), images("left", "right", count=32), np.arange(32)[:, None] % 2
    pairs["right"] = np.where(same[:, :, None, None], pairs["left"], pairs["right"])
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    losses = model.fit(pairs, same, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("tower", TOWER_NAMES)
def test_triplet_embeds_all_three_with_one_tower(tower):
    model = small("triplet", tower=tower, tower_args=TOWERS[tower], embedding_size=6)
    x = images("anchor", "positive", "negative")
    outputs, shared = model(x), model.get_layer("tower")
    assert sorted(outputs) == sorted(x)
    assert len(model.variables) == len(shared.variables)
    dense = shared.get_layer("embedding")
    before = keras.Model(shared.input, dense.input)
    for name, embedding in outputs.items():
        raw = np.asarray(before(x[name]) @ dense.kernel + dense.bias, "float64")
        np.testing.assert_allclose(embedding, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(embedding, shared(x[name]))


def test_a_zero_embedding_stays_zero_with_a_moderate_gradient():
    x = tf.Variable(np.zeros((2, 16), "float32"))
    with tf.GradientTape() as tape:
        y = unit_length(x)
    np.testing.assert_array_equal(y, np.zeros((2, 16)))
    # 1 / sqrt(size * epsilon)
    np.testing.assert_allclose(tape.gradient(y, x), np.full((2, 16), 2500.0), rtol=1e-5)


def test_koch_is_the_paper_s():
    model = weightless.build("siamese_koch")
    tower = model.get_layer("tower")
    assert isinstance(tower, keras.Sequential)
    # Figure 4 of the paper.
    expected = [(96, 96, 64), (42, 42, 128), (18, 18, 128), (6, 6, 256)]
    convolutions = [tower.get_layer(f"conv{i}") for i in (1, 2, 3, 4)]
    assert [layer.output.shape[1:] for layer in convolutions] == expected
    assert tower.get_layer("flatten").output.shape == (None, 9216)
    assert graph.count_parameters(model.trainable_variables) == 38_951_745
    products = [
        height * width * filters * size * size * channels
        for (height, width, filters), size, channels in zip(expected, (10, 7, 4, 4), (1, 64, 128, 128), strict=True)
    ]
    twin = sum(products) + 9216 * 4096
    assert round(twin, -5) == 908_600_000
    assert zoo.model_info("siamese_koch").macs == 2 * twin + 4096


@pytest.mark.slow
def test_koch_s_weights_and_outputs():
    keras.utils.set_random_seed(0)
    model = zoo.build_model("siamese_koch")
    tower, pair = model.get_layer("tower"), images("left", "right", shape=(105, 105, 1), count=2)
    for layer, deviation in ((tower.get_layer("conv3"), 0.01), (tower.get_layer("embedding"), 0.2)):
        np.testing.assert_allclose(np.std(layer.kernel), deviation, rtol=0.02)
        np.testing.assert_allclose(np.mean(layer.bias), 0.5, atol=0.005)
        np.testing.assert_allclose(np.std(layer.bias), 0.01, rtol=0.3)
    kernel, bias = model.get_layer("logits").get_weights()
    assert 0.18 < kernel.std() < 0.22
    compared, _ = by_hand(tower(pair["left"]), tower(pair["right"]), "l1")
    np.testing.assert_allclose(model(pair), compared @ kernel + bias, rtol=1e-3, atol=1e-4)


@pytest.fixture
def two_headed(monkeypatch):
    """A registered classifier that also gives a feature map."""
    zoo.list_models()
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

    @zoo.register_model(paper="Nobody 2000", input_shape=(8, 8, 1), num_classes=2, parameters=0)
    def two_headed(input_shape, num_classes):
        image = keras.Input(input_shape, name="image")
        return keras.Model(image, {"a": keras.layers.Flatten()(image), "b": keras.layers.ReLU()(image)})


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"tower": "resnet2O"}, r"unknown tower 'resnet2O'; did you mean .*resnet20"),
        ({"tower": 3}, "unknown tower '3'"),
        ({"tower": None}, "unknown tower 'None'"),
        ({"tower": "triplet"}, "tower is 'triplet', a model for verification; it must be a classifier of one input"),
        ({"tower": "multi_output"}, "tower is 'multi_output', a model for multi_output; it must be a classifier"),
        ({"tower": "multi_input"}, r"tower 'multi_input' with \{\} has 2 inputs .* of one input"),
        ({"tower": "two_headed"}, "tower 'two_headed' with .* and 2 outputs .*; it must be a classifier of one"),
        ({"tower_args": {"features": True}}, "tower 'simple_cnn' with .* and 2 outputs"),
        ({"tower_args": {"features": True, "filters": [4]}}, "one vector of features"),
        ({"tower_args": [3]}, r"tower_args is \[3\]; it must be a dictionary, hyperparameters of simple_cnn"),
        ({"tower_args": {"filtrs": [3]}}, "unknown hyperparameter of simple_cnn in tower_args 'filtrs'; .* filters"),
        ({"tower_args": {"num_classes": 3}}, "unknown hyperparameter of simple_cnn in tower_args 'num_classes'"),
        ({"tower_args": {3: 3}}, "unknown hyperparameter of simple_cnn in tower_args '3'"),
        ({"embedding_size": -1}, "embedding_size is -1; it must be a whole number, at least [01]"),
        ({"embedding_size": True}, "embedding_size is True; it must be a whole number, at least [01]"),
        ({"embedding_size": 2.0}, "embedding_size is 2.0; it must be a whole number, at least [01]"),
    ],
)
@pytest.mark.parametrize("name", ["siamese", "triplet"])
def test_bad_input(name, hyperparameters, message, two_headed):
    with pytest.raises(ValueError, match=message):
        zoo.build_model(name, **hyperparameters)


def test_bad_input_of_one():
    with pytest.raises(ValueError, match="distance is 'L1'; it must be one of 'l1', 'l2', 'cosine'"):
        zoo.build_model("siamese", distance="L1")
    with pytest.raises(ValueError, match="head is 'sigmoid'; it must be one of 'logit', 'distance'"):
        zoo.build_model("siamese", head="sigmoid")
    with pytest.raises(ValueError, match="embedding_size is 0; it must be a whole number, at least 1"):
        zoo.build_model("triplet", embedding_size=0)
    with pytest.raises(ValueError, match=r"input_shape of simple_cnn is \(3, 3, 1\); .* at least 4"):
        zoo.build_model("siamese", (3, 3, 1))
    with pytest.raises(ValueError, match="num_classes is 10; siamese sorts into no classes"):
        zoo.build_model("siamese", num_classes=10)
