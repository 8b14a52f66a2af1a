"""Shared by all tests: a quiet TensorFlow with two logical CPU devices, and one folder of prepared data."""

import os

import zoo  # noqa: F401 - first: it decides on oneDNN for the TensorFlow that comes after it

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# Processes of tests run beside each other.
os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"

import pytest
import tensorflow as tf

# Two devices stand for two GPUs; they must be made before TensorFlow is first used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


# Tests hold float32 against float32; TF32 keeps ten of its 23 digits.
tf.config.experimental.enable_tensor_float_32_execution(False)


def pytest_report_header() -> str:
    """Says whether the tests marked gpu have one."""
    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    names = ", ".join(each.get("device_name", "a GPU of unknown name") for each in gpus)
    return f"GPU: {names or 'none; tests marked gpu are a rehearsal on the CPU'}"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture
def restore_dtype_policy():
    import keras

    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)
