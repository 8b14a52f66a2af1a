"""Shared by all tests: a quiet TensorFlow with two logical CPU devices, prepared data, and what saves time.

What saves time changes nothing that a test sees: `tests/test_conftest.py` holds it to that.
"""

import gc
import os
import signal
from pathlib import Path

import pytest

from zoo import processor, waiting
from zoo.cli import console
from zoo.errors import RequestError


def pytest_configure(config):
    """Starts TensorFlow where tests run: not in the process that only hands them out, which the others wait for."""
    if getattr(config.option, "numprocesses", None):
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Holds back what each process would print, and no collection of garbage walks through what was imported.
    console.import_tensorflow()
    # Nets hold many objects, and with the usual (700, 10, 10) a tenth of the time is spent walking through them.
    gc.set_threshold(7_000, 10, 10)
    import tensorflow as tf

    # Two devices stand for two GPUs; they must be made before TensorFlow is first used.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    # Tests hold float32 against float32; TF32 keeps ten of its 23 digits.
    tf.config.experimental.enable_tensor_float_32_execution(False)


def pytest_collection_modifyitems(items):
    """Leaves out half precision, by its name, where a limit of the environment keeps oneDNN from it.

    TensorFlow asks the CPU and not the limit, and does not survive it; a CPU that has no such instructions is well.
    """
    try:
        for precision in ("bfloat16", "float16"):
            processor.check_precision(precision)
    except RequestError as error:
        for item in items:
            if "float16" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=str(error)))


def pytest_report_header(config) -> str | None:
    """Says whether the tests marked gpu have one."""
    if "gpu" not in config.option.markexpr:
        return None
    console.import_tensorflow()
    from zoo.places.strategy import gpus

    names = ", ".join(card["name"] for card in gpus())
    return f"GPU: {names or 'none; tests marked gpu are a rehearsal on the CPU'}"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    """Where datasets are prepared, once for all processes of a test run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "data"
    folder.mkdir(exist_ok=True)
    return str(folder)


@pytest.fixture(scope="session", autouse=True)
def splits_read_once(data_dir):
    """Keeps each split in `data_dir` once it was read: dozens of runs begin with the same ones.

    A source in memory cannot be changed, so no test can tell, whatever the order. What a test prepares in a folder of
    its own is read every time.
    """
    from zoo.data.sources import tfds_source

    kept, read = {}, tfds_source._read

    def read_once(name, builder, split, schema, memory_bytes):
        arguments = name, builder, split, schema, memory_bytes
        if not Path(builder.data_path).is_relative_to(data_dir):
            return read(*arguments)
        key = name, str(builder.data_path), split, memory_bytes, tuple(schema.columns)
        if key not in kept:
            kept[key] = read(*arguments)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds_source, "_read", read_once)
        yield kept


@pytest.fixture
def splits_read_anew(splits_read_once):
    """Every split is read from its files once more, for a test of what reading does."""
    splits_read_once.clear()


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


@pytest.fixture(scope="session", autouse=True)
def nothing_takes_long():
    """What is said of what takes long follows from the machine's speed; a test of that sets the patience itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "PATIENCE", 3600.0)
        yield


@pytest.fixture
def restore_dtype_policy():
    import keras

    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def set_keras_otherwise(restore_dtype_policy):
    """Gives Keras other settings, as a `keras.json` or a user's program may; they go when the test ends."""
    import keras

    before = keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon()

    def set_otherwise():
        keras.config.set_image_data_format("channels_first")
        keras.config.set_floatx("float16")
        keras.config.set_dtype_policy("float16")
        keras.config.set_epsilon(1e-2)

    yield set_otherwise
    keras.config.set_image_data_format(before[0])
    keras.config.set_floatx(before[1])
    keras.config.set_epsilon(before[2])
