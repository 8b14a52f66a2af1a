"""What is folded stands for exactly what the net repeats, and the picture stays one that can be read."""

import itertools
import xml.etree.ElementTree as ElementTree

import keras
import pytest
from keras import layers

import zoo
from zoo.analysis.nets import diagram, folding, graph

SVG = "{http://www.w3.org/2000/svg}"


def boxes_of(name):
    with graph.without_weights():
        return diagram.boxes_of(zoo.build_model(name))


# Per net how often its repeats stand for themselves, from the top.
REPEATS = {
    "resnet20": [3, 2, 2],
    "resnet34": [3, 3, 5, 2],
    # The last layer of a dense block ends with a batch norm of its own.
    "densenet121": [5, 11, 23, 15],
    # The last two stages, three convolutions and a pooling, are the same; and so are two dense layers.
    "vgg16": [2, 2, 3, 2, 2],
    "xception": [8],
    "googlenet": [],
    "lenet5": [],
    "siamese": [],
    "multi_output": [],
}


@pytest.mark.parametrize(("name", "times"), REPEATS.items(), ids=list(REPEATS))
def test_what_a_net_repeats_is_drawn_once(name, times):
    boxes = boxes_of(name)
    kept, repeats = folding.folded(boxes)
    assert [repeat.times for repeat in repeats] == times
    # None is lost: what is left stands for all that there was.
    assert len(kept) + sum((repeat.times - 1) * len(repeat.boxes) for repeat in repeats) == len(boxes)
    # Nothing that is left takes anything from what was left out, and all but the inputs take something.
    assert all(source in kept for box in kept for source in box.sources)
    assert [box.kind for box in kept if not box.sources] == ["end"] * (2 if name == "siamese" else 1)


def test_sizes_stand_where_one_tensor_leads_on_and_are_those_behind_the_last_repeat():
    kept, _ = folding.folded(boxes_of("densenet121"))
    notes = [box.note for box in kept if box.note]
    assert notes[:5] == ["230 x 230 x 3", "112 x 112 x 64", "114 x 114 x 64", "56 x 56 x 64", "56 x 56 x 224"]
    assert all(one != other for one, other in itertools.pairwise(notes))
    assert notes[-2:] == ["1024", "1000"]


def test_what_differs_in_a_number_or_in_a_line_is_not_folded():
    def net(filters, skip_from):
        x = inputs = keras.Input((8, 8, 4), name="image")
        for number in range(3):
            y = layers.Conv2D(4, 3, padding="same")(x)
            z = layers.Conv2D(filters[number], 3, padding="same")(y)
            x = layers.Add()([z, (x, y)[skip_from[number]]])
        return diagram.boxes_of(keras.Model(inputs, x))

    assert [repeat.times for repeat in folding.folded(net((4, 4, 4), (0, 0, 0)))[1]] == [3]
    assert [repeat.times for repeat in folding.folded(net((4, 4, 4), (0, 0, 1)))[1]] == [2]
    x = inputs = keras.Input((8,), name="vector")
    for units in (8, 8, 9, 8):
        x = layers.Dense(units)(x)
    assert [repeat.times for repeat in folding.folded(diagram.boxes_of(keras.Model(inputs, x)))[1]] == [2]


def test_a_repeat_may_be_of_several_layers():
    x = inputs = keras.Input((64, 64, 3), name="image")
    for _ in range(4):
        x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same")(x))
    ((repeat,)) = folding.folded(diagram.boxes_of(keras.Model(inputs, x)))[1]
    assert (repeat.times, [box.lines for box in repeat.boxes]) == (
        4,
        [["3x3 conv, 8"], ["2x2 max pooling, stride 2"]],
    )


@pytest.mark.parametrize("name", ["resnet20", "googlenet", "densenet121", "siamese", "mlp", "multi_input", "vgg16"])
def test_no_text_lies_on_another_and_all_is_inside_the_picture(name):
    with graph.without_weights():
        picture = ElementTree.fromstring(diagram.draw(zoo.build_model(name), fold=True))
    width, height = float(picture.get("width")), float(picture.get("height"))
    assert width < 700
    assert height < 3000
    for frame in picture.iter(f"{SVG}rect"):
        if frame.get("x"):
            assert float(frame.get("x")) >= 0
            assert float(frame.get("x")) + float(frame.get("width")) <= width
    places = []
    for text in picture.iter(f"{SVG}text"):
        long = 6.6 * len(text.text)
        left = float(text.get("x")) - (0 if text.get("text-anchor") == "start" else long / 2)
        places.append((left, left + long, float(text.get("y"))))
        assert left >= 0
        assert left + long <= width
    for (left, right, y), (other_left, other_right, other_y) in itertools.combinations(places, 2):
        assert abs(y - other_y) >= 12 or right <= other_left or other_right <= left


def test_a_drawing_that_is_not_folded_is_as_before():
    with graph.without_weights():
        text = diagram.draw(zoo.build_model("resnet20"), "stage1_")
    assert "frame" not in text
    assert "note" not in text


def test_layers_of_all_kinds_can_be_drawn():
    x = inputs = keras.Input((20, 20, 3), name="image")
    x = layers.Rescaling([1.0, 2.0, 3.0], offset=[0.0, 0.0, 0.0])(x)
    x = layers.Conv2DTranspose(4, 3, strides=2)(layers.UpSampling2D(2)(x))
    x = layers.Conv2D(3, 3, activation=layers.LeakyReLU())(layers.SpatialDropout2D(0.2)(x))
    x = layers.Activation(layers.ReLU())(keras.ops.relu(x))
    x = layers.Bidirectional(layers.LSTM(4))(layers.Reshape((-1, 3))(x))
    text = diagram.draw(keras.Model(inputs, layers.Dense(2, activation="softmax", name="side")(x)), fold=True)
    for words in ("rescaling", "LeakyReLU", "ReLU", "bidirectional", "softmax"):
        assert words in text
