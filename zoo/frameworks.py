"""TensorFlow and Keras as the zoo needs them: imported without lines on standard error, and set as they come.

Its top imports neither, since what it sets in the environment must be set before.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from zoo import processor
from zoo.errors import RequestError

if TYPE_CHECKING:
    import keras


def import_keras() -> None:
    """Imports Keras, and TensorFlow with it, without the lines that TensorFlow's libraries write to standard error.

    Most come from C++ before any log level applies, so the file descriptor is what must be turned away. If the import
    fails they are shown after all; where a person stops it they are not. A Keras that is imported already, and what the
    environment says of the log level, are left alone.

    Raises:
        RequestError: the environment has a value for TensorFlow that it would pass over, or Keras' own settings, in the
            environment or in keras.json, name a backend that is not there or something else that it does not take.
    """
    if "keras" in sys.modules:
        return
    if "tensorflow" not in sys.modules:
        processor.check_environment()
        # Without lines of information: what comes after the import applies the level.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with _stderr_held_back():
        refused = _import_refused()
    if refused:
        remedy = "mend KERAS_BACKEND in the environment, or keras.json"
        raise RequestError(f"Keras cannot be imported: {' '.join(str(refused).split())}; {remedy}") from refused


def _import_refused() -> Exception | None:
    """What Keras raises of its settings; a package that is there but broken raises as it does."""
    try:
        import keras  # noqa: F401 - before TensorFlow, which imports it too and passes over a backend that is not there
    except (ModuleNotFoundError, ValueError) as error:
        return error
    import tensorflow as tf

    # Looks for GPUs, and complains where there is none.
    tf.config.list_physical_devices()
    return None


@contextlib.contextmanager
def default_settings() -> Iterator[None]:
    """Inside, Keras has the image format and the float type that it comes with, whatever a user has set for all nets.

    The nets of the zoo are written for images with the channels last, and for float32. A dtype policy, such as
    `mixed_bfloat16`, is a wish for how layers compute, and stays as it is; only one that merely repeats the float type
    goes with that.
    """
    import keras

    image_format, float_type, policy = (
        keras.config.image_data_format(),
        keras.config.floatx(),
        keras.config.dtype_policy(),
    )
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    if policy.name == float_type:
        keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_image_data_format(image_format)
        keras.config.set_floatx(float_type)
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Models built in here have variables with shapes but no values, so that they cost no time and no memory.

    Such a model is good for counting, in here, and for nothing else before `make_variables`.
    """
    import keras

    # Keras has no public way to let the variables go: it keeps them, and makes them when the next scope ends.
    from keras.src.backend.common import global_state

    waiting = global_state.get_global_attribute("uninitialized_variables", [], set_to_default=True)
    before = len(waiting)
    with keras.StatelessScope(initialize_variables=False):
        try:
            yield
        finally:
            del waiting[before:]


def make_variables(model: "keras.Model", values: Iterable[tuple["keras.Variable", Callable[[], Any]]]) -> None:
    """Gives a model that was built `without_weights` its variables, at half the time of making them twice.

    Args:
        model: all of whose variables are made.
        values: variables of it that do not begin as their layers have it, each with what gives its array.
    """
    made = {id(variable): value for variable, value in values}
    for variable in model.variables:
        if id(variable) in made:
            variable._initializer = _constant(made[id(variable)])
        variable._deferred_initialize()


def _constant(value: Callable[[], Any]) -> Callable[..., Any]:
    """An initializer that gives an array."""
    return lambda shape, dtype: value()


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """Layers and operations without a name of their own are numbered from the start in here, as in a new process."""
    from keras.src.backend.common import global_state

    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    try:
        saved = os.dup(2)
    except OSError:
        # A process without a console may have no standard error at all.
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
