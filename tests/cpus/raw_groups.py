"""A pytest plugin that breaks grouped convolutions as they were: the bare operation, whatever the CPU."""

import zoo  # noqa: F401 - first: it decides on oneDNN for the TensorFlow that comes after it


def pytest_collection_finish():
    import tensorflow as tf

    from zoo import layers

    layers._grouped_convolution = tf.nn.conv2d
