import keras
import numpy as np
import pytest

import zoo


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_mlp_on_a_vector_is_the_textbook_net():
    model = zoo.build_model("mlp", input_shape=(100,), num_classes=10, hidden_sizes=(64,))
    assert model.inputs[0].name == "vector"
    assert kinds(model) == ["Dense", "Activation", "Dense"]
    textbook = keras.Sequential(
        [keras.Input((100,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)]
    )
    textbook.set_weights(model.get_weights())
    x = np.random.default_rng(0).standard_normal((3, 100)).astype("float32")
    np.testing.assert_array_equal(model(x), textbook(x))


def test_mlp_hyperparameters():
    model = zoo.build_model("mlp", hidden_sizes=[8, 4], activation="tanh", batch_norm=True, dropout=0.5)
    block = ["Dense", "BatchNormalization", "Activation", "Dropout"]
    assert kinds(model) == ["Flatten", *block, *block, "Dense"]
    assert model.layers[1].units == 8
    assert not model.layers[1].use_bias
    assert kinds(zoo.build_model("mlp", hidden_sizes=[])) == ["Flatten", "Dense"]
    with pytest.raises(ValueError, match="activation is 'rlu'; it must be one of 'relu'"):
        zoo.build_model("mlp", activation="rlu")


def test_simple_cnn_hyperparameters():
    model = zoo.build_model("simple_cnn", filters=[4, 5, 6], hidden_units=7, batch_norm=False, dropout=0.25)
    stage = ["Conv2D", "ReLU", "MaxPooling2D"]
    assert kinds(model) == [*stage, *stage, *stage, "Flatten", "Dense", "Dropout", "Dense"]
    assert [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)] == [4, 5, 6]
    assert model.layers[0].use_bias
    with pytest.raises(
        ValueError, match=r"input_shape of simple_cnn is \(7, 28, 1\); height and width must be at least 8"
    ):
        zoo.build_model("simple_cnn", input_shape=(7, 28, 1), filters=[1, 1, 1])


def test_lenet_sizes_are_the_papers():
    model = zoo.build_model("lenet5")
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert shapes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (400,), (120,), (84,), (10,)]


def test_lenet_names_its_least_input():
    with pytest.raises(ValueError, match="at least 16"):
        zoo.build_model("lenet5", input_shape=(15, 20, 1))
    assert zoo.build_model("lenet5", input_shape=(16, 16, 1)).output_shape == (None, 10)
