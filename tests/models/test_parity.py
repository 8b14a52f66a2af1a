"""The nets' forward passes are those of `keras.applications`, with the same random weights on the same images."""

import keras
import parity
import pytest

import zoo


def test_walk_sees_another_order_of_branches():
    """What the comparison with `keras.applications` rests on: layers match by place, and shapes are checked."""
    image = keras.Input((4, 4, 2))
    one, three = keras.layers.Conv2D(3, 1, name="one"), keras.layers.Conv2D(3, 3, padding="same", name="three")
    ours, theirs = (
        keras.Model(image, keras.layers.Concatenate()([layer(image) for layer in order]))
        for order in ((one, three), (three, one))
    )
    assert [layer.name for layer in parity.layers_with_weights(ours)] == ["one", "three"]
    assert [layer.name for layer in parity.layers_with_weights(theirs)] == ["three", "one"]
    with pytest.raises(AssertionError, match=r"three has .* one has"):
        parity.copy_weights(theirs, ours)


# Sizes that halve evenly show on which side a window of stride 2 is padded; odd ones show what is cut off.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hyperparameters", "reference", "input_shape"),
    [
        ("resnet50_v1", {"conv_bias": True}, "ResNet50", (96, 128, 3)),
        ("resnet50_v2", {"conv_bias": True, "stride_at_end": True}, "ResNet50V2", (96, 128, 3)),
        ("densenet121", {}, "DenseNet121", (96, 128, 3)),
        ("vgg16", {}, "VGG16", (96, 128, 3)),
        ("inception_v3", {"bn_scale": False}, "InceptionV3", (139, 123, 3)),
        ("inception_resnet_v2", {"bn_scale": False}, "InceptionResNetV2", (139, 123, 3)),
        ("xception", {}, "Xception", (139, 123, 3)),
    ],
)
def test_forward_pass_is_that_of_keras_applications(name, hyperparameters, reference, input_shape):
    application = getattr(keras.applications, reference)
    theirs = application(weights=None, input_shape=input_shape, classifier_activation=None)
    ours = zoo.build_model(name, input_shape, **hyperparameters)
    parity.assert_same_forward(ours, theirs, input_shape)
