import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.analysis.nets.graph import count_parameters, why_not_sequential

# A Sequential and a Functional tower.
TOWERS = {"simple_cnn": {"filters": [4, 8], "hidden_units": 16}, "resnet20": {}}
TOWER_NAMES = ["simple_cnn", pytest.param("resnet20", marks=pytest.mark.slow)]
HEADS = {"kind": 5, "height": "regression", "corner": "regression:3"}
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((4, 16, 16, 1)).astype("float32")
VECTORS = RNG.standard_normal((4, 7)).astype("float32")
CATEGORIES = np.array([2, 0, 1, 2], "int32")


def outputs_model(**hyperparameters):
    keras.utils.set_random_seed(0)
    hyperparameters = {"trunk_args": TOWERS["simple_cnn"], "heads": HEADS, **hyperparameters}
    return zoo.build_model("multi_output", (16, 16, 1), **hyperparameters)


def inputs_model(num_classes=5, **hyperparameters):
    keras.utils.set_random_seed(0)
    hyperparameters = {"tower_args": TOWERS["simple_cnn"], "vector_size": 7, **hyperparameters}
    return zoo.build_model("multi_input", (16, 16, 1), num_classes, **hyperparameters)


def second(model):
    return {"image": IMAGES, **({"category": CATEGORIES} if "category" in model.input else {"vector": VECTORS})}


@pytest.mark.parametrize("trunk", TOWER_NAMES)
def test_every_head_stands_on_the_trunk_s_features(trunk):
    model = outputs_model(trunk=trunk, trunk_args=TOWERS[trunk])
    net = zoo.build_model(trunk, (16, 16, 1), 0, **TOWERS[trunk])
    net.set_weights(model.get_weights()[: len(net.weights)])
    outputs = model(IMAGES)
    assert {name: output.shape for name, output in outputs.items()} == {
        "kind": (4, 5), "height": (4, 1), "corner": (4, 3),
    }  # fmt: skip
    for name, output in outputs.items():
        kernel, bias = model.get_layer(name).get_weights()
        assert model.get_layer(name).activation is keras.activations.linear
        np.testing.assert_allclose(output, net(IMAGES) @ kernel + bias, rtol=1e-4, atol=1e-5)
    assert why_not_sequential(model).startswith("it has 3 outputs")


def test_zero_classes_give_the_trunk_s_features():
    model, features = outputs_model(), outputs_model(num_classes=0)
    features.set_weights(model.get_weights()[: len(features.weights)])
    kernel, bias = model.get_layer("kind").get_weights()
    np.testing.assert_allclose(features(IMAGES) @ kernel + bias, model(IMAGES)["kind"], rtol=1e-4, atol=1e-5)


def test_default_heads():
    model = zoo.build_model("multi_output")
    assert {name: output.shape[1] for name, output in model.output.items()} == {"character": 170, "typeface": 12}
    assert count_parameters(model.trainable_variables) == zoo.model_info("multi_output").parameters


def test_every_head_teaches_the_trunk():
    model = outputs_model()
    for name in HEADS:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(IMAGES)[name] ** 2)
        assert np.any(tape.gradient(loss, model.get_layer("conv1").kernel.value))


def test_dropout_acts_before_the_heads_in_training_alone():
    model = outputs_model(dropout=0.5, trunk_args={**TOWERS["simple_cnn"], "dropout": 0.5})
    assert model.get_layer("heads_dropout").rate == 0.5
    np.testing.assert_array_equal(model(IMAGES)["kind"], model(IMAGES)["kind"])
    assert np.any(model(IMAGES, training=True)["kind"] != model(IMAGES, training=True)["kind"])


def test_fit_works_with_a_dictionary_of_losses():
    model = outputs_model(heads={"kind": 5, "height": "regression"})
    model.compile("adam", {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "height": "mse"})
    labels = {"kind": np.arange(4), "height": np.arange(4.0)[:, None]}
    losses = model.fit(IMAGES, labels, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("heads", "problem"),
    [
        ({}, "it must be a dictionary of at least one head"),
        ([5], "it must be a dictionary of at least one head"),
        ("kind", "it must be a dictionary of at least one head"),
        ({3: 5}, "3 is no name"),
        ({"": 5}, "'' is no name"),
        ({"a/b": 5}, "'a/b' is no name"),
        ({"kind\n": 5}, "'kind\\n' is no name"),
        ({"conv1": 5}, "'conv1' is a layer of the trunk"),
        ({"image": 5}, "'image' is a layer of the trunk"),
        ({"heads_dropout": 5}, "'heads_dropout' is a layer of the trunk"),
        ({"kind": 1}, "1 of 'kind' is no kind of head"),
        ({"kind": True}, "True of 'kind' is no kind of head"),
        ({"kind": 5.0}, "5.0 of 'kind' is no kind of head"),
        ({"kind": None}, "None of 'kind' is no kind of head"),
        ({"kind": "regresion"}, "'regresion' of 'kind' is no kind of head"),
        ({"kind": "regression:0"}, "'regression:0' of 'kind' is no kind of head"),
        ({"kind": "regression:"}, "'regression:' of 'kind' is no kind of head"),
        ({"good": 5, "kind": -2}, "-2 of 'kind' is no kind of head"),
    ],
    ids=repr,
)
def test_bad_heads(heads, problem):
    with pytest.raises(zoo.RequestError) as error:
        outputs_model(heads=heads)
    assert str(error.value).startswith(f"heads is {heads!r}; {problem}: a head is a name")
    assert "'regression:N'" in str(error.value)


@pytest.mark.parametrize("tower", TOWER_NAMES)
@pytest.mark.parametrize("condition", ["vector", "category"])
@pytest.mark.parametrize("join", ["concatenate", "film"])
def test_the_join_is_the_one_by_hand(tower, condition, join):
    model = inputs_model(
        tower=tower, tower_args=TOWERS[tower], join=join, categories=3 if condition == "category" else 0
    )
    weights = {layer.name: [np.asarray(w, "float64") for w in layer.get_weights()] for layer in model.layers}
    x = np.asarray(model.get_layer("tower")(IMAGES), "float64")
    if condition == "category":
        side = weights["category_embedding"][0][CATEGORIES]
    else:
        kernel, bias = weights["vector_hidden"]
        side = np.maximum(VECTORS @ kernel + bias, 0)
    if join == "film":
        kernels, biases = zip(weights["film_gamma"], weights["film_beta"], strict=True)
        np.testing.assert_array_equal(biases, [np.ones(x.shape[1]), np.zeros(x.shape[1])])
        joined = (side @ kernels[0] + biases[0]) * x + side @ kernels[1] + biases[1]
    else:
        joined = np.concatenate([x, side], 1)
    kernel, bias = weights["hidden"]
    hidden = np.maximum(joined @ kernel + bias, 0)
    kernel, bias = weights["logits"]
    np.testing.assert_allclose(model(second(model)), hidden @ kernel + bias, rtol=1e-4, atol=1e-5)

    features = inputs_model(
        0, tower=tower, tower_args=TOWERS[tower], join=join, categories=3 if condition == "category" else 0
    )
    features.set_weights(model.get_weights()[:-2])
    np.testing.assert_allclose(features(second(features)), hidden, rtol=1e-4, atol=1e-5)


def test_film_on_averaged_features_is_film_on_the_feature_map():
    """As the docstring says of a tower that ends in global average pooling."""
    model = inputs_model(tower="resnet20", tower_args={}, join="film")
    tower = model.get_layer("tower")
    feature_map = keras.Model(tower.input, tower.get_layer("pool").input)(IMAGES)
    condition = model.get_layer("vector_hidden")(VECTORS)
    gamma, beta = (model.get_layer(name)(condition)[:, None, None] for name in ("film_gamma", "film_beta"))
    expected = tf.reduce_mean(gamma * feature_map + beta, [1, 2])
    joined = keras.Model(model.input, model.get_layer("film_shift").output)(second(model))
    np.testing.assert_allclose(joined, expected, rtol=1e-4, atol=1e-5)


JOINS = ("join", "categories"), [("concatenate", 3), ("film", 0)]


@pytest.mark.parametrize(*JOINS)
def test_both_inputs_get_a_gradient(join, categories):
    model = inputs_model(join=join, categories=categories)
    with tf.GradientTape() as tape:
        outputs = model(second(model))
        loss = tf.reduce_sum(outputs * RNG.standard_normal(outputs.shape))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert np.any(tf.convert_to_tensor(gradient)), variable.path


@pytest.mark.slow
@pytest.mark.parametrize(*JOINS)
def test_fit_works_with_both_inputs(join, categories):
    model = inputs_model(join=join, categories=categories, dropout=0.1)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(second(model), np.arange(4), epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_default_sizes_and_why_it_is_no_sequential():
    model = zoo.build_model("multi_input")
    assert count_parameters(model.trainable_variables) == zoo.model_info("multi_input").parameters
    assert why_not_sequential(model) == "it has 2 inputs: image, vector"
    assert model({"image": np.zeros((2, 32, 32, 1)), "vector": np.zeros((2, 16))}).shape == (2, 170)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_are_float32_under_mixed_precision(policy, restore_dtype_policy):
    keras.config.set_dtype_policy(policy)
    for output in outputs_model()(IMAGES).values():
        assert output.dtype == "float32"
    for hyperparameters in ({}, {"join": "film"}, {"categories": 3}):
        model = inputs_model(**hyperparameters)
        assert model.get_layer("hidden").compute_dtype == policy.removeprefix("mixed_")
        outputs = model(second(model))
        assert outputs.dtype == "float32"
        assert np.isfinite(outputs).all()


@pytest.mark.parametrize("tower", TOWER_NAMES)
def test_saved_models_give_the_same_outputs(tower, tmp_path):
    args = TOWERS[tower]
    models = [
        outputs_model(trunk=tower, trunk_args=args, dropout=0.1),
        inputs_model(tower=tower, tower_args=args),
        inputs_model(tower=tower, tower_args=args, join="film", categories=3),
    ]
    for model in models:
        model.save(tmp_path / "model.keras")
        loaded = zoo.load_model(str(tmp_path / "model.keras"))
        x = IMAGES if model.name == "multi_output" else second(model)
        tf.nest.map_structure(np.testing.assert_array_equal, loaded(x), model(x))


def test_bad_input():
    with pytest.raises(ValueError, match=r"unknown trunk 'resnet2O'; did you mean .*resnet20"):
        zoo.build_model("multi_output", trunk="resnet2O")
    with pytest.raises(ValueError, match="trunk is 'siamese', a model for verification; it must be a classifier"):
        zoo.build_model("multi_output", trunk="siamese")
    with pytest.raises(ValueError, match=r"trunk_args is 3; it must be a dictionary"):
        zoo.build_model("multi_output", trunk_args=3)
    with pytest.raises(ValueError, match="num_classes is 10; multi_output sorts into no classes"):
        zoo.build_model("multi_output", num_classes=10)
    with pytest.raises(ValueError, match=r"tower 'multi_input' with \{\} has 2 inputs"):
        zoo.build_model("multi_input", tower="multi_input")
    with pytest.raises(ValueError, match="join is 'add'; it must be one of 'concatenate', 'film'"):
        zoo.build_model("multi_input", join="add")
    with pytest.raises(ValueError, match="categories is -1; it must be a whole number, at least 0"):
        zoo.build_model("multi_input", categories=-1)
    for name in ("vector_size", "condition_units", "hidden_units"):
        with pytest.raises(ValueError, match=f"{name} is 0; it must be a whole number, at least 1"):
            zoo.build_model("multi_input", **{name: 0})
    with pytest.raises(ValueError, match=r"input_shape of simple_cnn is \(10,\)"):
        zoo.build_model("multi_input", (10,))
