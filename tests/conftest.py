"""Shared by all tests: a quiet TensorFlow with two logical CPU devices, and one folder of prepared data."""

import os
import signal

import zoo  # noqa: F401 - first: it decides on oneDNN for the TensorFlow that comes after it

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pytest
import tensorflow as tf

# Two devices stand for two GPUs; they must be made before TensorFlow is first used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session", autouse=True)
def interrupts_reach_processes():
    """A shell that runs the tests in the background has SIGINT ignored, and every process they start inherits that.

    A handler here is the default action there. Setting it in the child, by `preexec_fn`, would make each start copy the
    page tables of all that is in memory here.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture
def restore_dtype_policy():
    import keras

    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)
