"""A drawing shows what the graph has: its boxes in order, a line for each tensor, and no box on another."""

import itertools
import xml.etree.ElementTree as ElementTree

import keras
import pytest
from keras import layers

import zoo
from zoo.analysis.nets import diagram, graph


def residual():
    """A block with a convolved shortcut between two layers that are none of it."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="block_1")(x)
    y = layers.BatchNormalization(name="block_1_bn")(y)
    y = layers.ReLU(name="block_1_relu")(y)
    shortcut = layers.Conv2D(6, 1, strides=2, name="block_shortcut")(x)
    x = layers.Add(name="block_add")([shortcut, y])
    x = layers.ReLU(name="block_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="probabilities")(x))


def said(boxes):
    """The text and the kind of each box, with the numbers of the boxes that it takes its tensors from."""
    return [(" / ".join(box.lines), box.kind, [boxes.index(source) for source in box.sources]) for box in boxes]


def test_a_piece_with_its_two_ends():
    assert said(diagram.boxes_of(residual(), "block_")) == [
        ("8 x 8 x 4", "end", []),
        ("3x3 conv, 6, stride 2 / batch norm · ReLU", "weights", [0]),
        ("1x1 conv, 6, stride 2", "weights", [0]),
        ("add · ReLU", "joins", [2, 1]),
        ("4 x 4 x 6", "end", [3]),
    ]


def test_a_whole_model_with_the_names_of_its_inputs_and_outputs():
    boxes = said(diagram.boxes_of(residual()))
    assert boxes[0] == ("image / 8 x 8 x 3", "end", [])
    assert boxes[-3:] == [
        ("mean over the image", "plain", [4]),
        ("dense, 5 / softmax", "weights", [5]),
        ("probabilities / 5", "end", [6]),
    ]


def test_a_layer_whose_input_goes_elsewhere_too_has_a_box_of_its_own():
    x = inputs = keras.Input((4, 4, 2), name="image")
    x = layers.Conv2D(2, 1, name="conv")(x)
    x = layers.Add(name="add")([x, layers.ReLU(name="relu")(x)])
    assert said(diagram.boxes_of(keras.Model(inputs, x))) == [
        ("image / 4 x 4 x 2", "end", []),
        ("1x1 conv, 2", "weights", [0]),
        ("ReLU", "plain", [1]),
        ("add", "joins", [1, 2]),
        ("add / 4 x 4 x 2", "end", [3]),
    ]


def test_an_output_in_the_middle_is_before_what_follows_it():
    x = inputs = keras.Input((4, 4, 2), name="image")
    x = layers.Conv2D(2, (1, 3), strides=(1, 2), name="conv")(layers.ZeroPadding2D(((0, 0), (1, 2)))(x))
    model = keras.Model(inputs, [x, layers.ReLU(name="relu")(x)])
    assert said(diagram.boxes_of(model)) == [
        ("image / 4 x 4 x 2", "end", []),
        ("zero padding 0-0-1-2", "plain", [0]),
        ("1x3 conv, 2, not padded, stride 1x2", "weights", [1]),
        ("ReLU", "plain", [2]),
        ("conv / 4 x 3 x 2", "end", [2]),
        ("relu / 4 x 3 x 2", "end", [3]),
    ]


def test_a_nested_model_takes_all_of_its_inputs():
    one, other = keras.Input((3,)), keras.Input((3,))
    both = keras.Model([one, other], layers.Add()([layers.Dense(3)(one), layers.Dense(3)(other)]), name="both")
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    boxes = said(diagram.boxes_of(keras.Model([left, right], layers.Dense(1, name="end")(both([left, right])))))
    assert boxes == [
        ("left / 3", "end", []),
        ("right / 3", "end", []),
        ("both", "weights", [0, 1]),
        ("dense, 1", "weights", [2]),
        ("end / 1", "end", [3]),
    ]


def test_what_lies_between_the_layers_of_a_piece_belongs_to_it():
    """Option A of the paper's shortcuts: an operation without a name of its own makes the new channels."""
    boxes = said(diagram.boxes_of(zoo.build_model("resnet20"), "stage2_block1_"))
    assert [box[0] for box in boxes if box[1] == "end"] == ["32 x 32 x 16", "16 x 16 x 32"]
    numbers = {text: number for number, (text, _, _) in enumerate(boxes)}
    assert ("pad", "plain", [numbers["1x1 max pooling, stride 2"]]) in boxes
    assert ("add · ReLU", "joins", [numbers["3x3 conv, 32 / batch norm"], numbers["pad"]]) in boxes


def test_a_shared_tower_is_one_box_for_each_call():
    boxes = said(diagram.boxes_of(zoo.build_model("siamese", (16, 16, 1))))
    assert [box for box in boxes if "tower" in box[0]] == [
        ("tower / shared weights", "weights", [boxes.index(("left / 16 x 16 x 1", "end", []))]),
        ("tower / shared weights", "weights", [boxes.index(("right / 16 x 16 x 1", "end", []))]),
    ]


def test_a_name_that_no_layer_has():
    with pytest.raises(ValueError, match=r"no layer of .* has a name that begins with 'nothing'"):
        diagram.draw(residual(), "nothing")


PIECES = {
    "resnet20": "stage2_block1_",
    "seresnet18": "stage1_block2_",
    "googlenet": "inception_3a",
    "multi_input": "",
    "multi_output": "",
    "lenet5": "",
}


def origin(box):
    """Where a line that passes rows comes from."""
    while not box.lines:
        (box,) = box.sources
    return box


@pytest.mark.parametrize(("name", "piece"), PIECES.items(), ids=list(PIECES))
def test_every_line_goes_down_and_no_box_lies_on_another(name, piece):
    with graph.without_weights():
        boxes = diagram.boxes_of(zoo.build_model(name), piece)
    taken = {box: list(box.sources) for box in boxes}
    rows = diagram.arranged(boxes)
    assert sum(box in boxes for row in rows for box in row) == len(boxes)
    assert all(source.row == box.row - 1 for row in rows for box in row for source in box.sources)
    assert {box: [origin(source) for source in box.sources] for box in boxes} == taken
    for row in rows:
        places = sorted((box.x - box.width / 2, box.x + box.width / 2) for box in row)
        assert all(end + 5 < begin for (_, end), (begin, _) in itertools.pairwise(places))


def test_branches_stand_in_the_order_in_which_they_are_joined():
    with graph.without_weights():
        boxes = diagram.boxes_of(zoo.build_model("googlenet"), "inception_3a")
    diagram.arranged(boxes)
    (joined,) = (box for box in boxes if box.kind == "joins")
    assert [source.x for source in joined.sources] == sorted(source.x for source in joined.sources)


def test_the_picture_is_an_svg_with_all_of_the_text():
    text = diagram.draw(residual(), "block_")
    picture = ElementTree.fromstring(text)
    shown = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert shown[:3] == ["8 x 8 x 4", "1x1 conv, 6, stride 2", "3x3 conv, 6, stride 2"]
    assert {"batch norm · ReLU", "add · ReLU", "4 x 4 x 6"} <= set(shown)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    width = float(picture.get("width"))
    for box in picture.iter("{http://www.w3.org/2000/svg}rect"):
        if box.get("x"):
            assert float(box.get("x")) >= 0
            assert float(box.get("x")) + float(box.get("width")) <= width
