import pytest
import tensorflow as tf

from zoo.training.strategy import make_strategy, set_cpu_threads


def test_names():
    assert make_strategy("one_device") is tf.distribute.get_strategy()
    assert make_strategy("mirrored").num_replicas_in_sync == 2  # no GPU, two logical CPU devices
    assert make_strategy("mirrored:2").num_replicas_in_sync == 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("miror", "unknown strategy 'miror'; did you mean mirrored"),
        ("one_device:2", "one_device takes no number"),
        ("mirrored:0", "mirrored takes a number of devices, as mirrored:2"),
        ("mirrored:two", "mirrored takes a number of devices"),
        ("mirrored:3", "strategy needs 3 devices; TensorFlow has already started with fewer"),
    ],
)
def test_wrong_names(spec, message):
    tf.constant(0.0)  # TensorFlow has started
    with pytest.raises(ValueError, match=message):
        make_strategy(spec)


def test_threads_cannot_change_once_tensorflow_runs():
    tf.constant(0.0)
    set_cpu_threads(tf.config.threading.get_intra_op_parallelism_threads())
    with pytest.warns(UserWarning, match="cpu_threads=7 has no effect"):
        set_cpu_threads(7)
