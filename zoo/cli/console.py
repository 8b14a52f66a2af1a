"""What every command line of the zoo shares: exit statuses, one-line errors, and a quiet TensorFlow."""

import contextlib
import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator

from zoo import frameworks
from zoo.errors import Interrupted, RequestError, RunError
from zoo.waiting import said_if_slow

DONE, FAILED, WRONG_REQUEST = 0, 1, 2
STOPPED_BY_KEYBOARD = 130


def run(main: Callable[[list[str]], None], argv: list[str]) -> int:
    """Runs a command and returns its exit status: 0 done, 1 failed, 2 wrong request, 128 + n stopped by signal n.

    Args:
        main: takes the arguments.
        argv: the arguments, without the program's name.
    """
    try:
        main(argv)
        sys.stdout.flush()
    except RequestError as error:
        return _fail(error, WRONG_REQUEST)
    except RunError as error:
        return _fail(error, FAILED)
    except Interrupted as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED_BY_KEYBOARD
    except BrokenPipeError:
        # The reader of our output, such as `head`, has left.
        _drop_output()
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        # Files are written with errors of their own; what is left has no name.
        _drop_output()
        return _fail(RunError("standard output cannot be written: the disk is full; make space on it"), FAILED)
    return DONE


def import_tensorflow(*, silent: bool = False) -> None:
    """Imports TensorFlow and Keras as `zoo.frameworks.import_keras` does, and saves a second.

    Keras takes scikit-learn and pyplot along wherever they are installed, for wrappers and galleries that no command
    has a use for, and the garbage collector finds nothing in a million new objects.

    Args:
        silent: not even a line says that it takes long.

    Raises:
        RequestError: as `import_keras` does.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Otherwise TensorFlow takes all memory of every GPU at its first operation, even of `inspect`.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    said = contextlib.nullcontext() if silent else said_if_slow("importing TensorFlow")
    with said, _hidden("sklearn", "matplotlib"), _uncollected():
        frameworks.import_keras()


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Makes packages that are not imported yet seem not to be installed inside."""
    hidden = [name for name in names if name not in sys.modules]
    # What Python looks an import up in; None raises ImportError.
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Turns garbage collection off inside; objects made there are frozen, so that later collections skip them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


def _drop_output() -> None:
    """Sends what is left of standard output nowhere; Python would complain once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: Exception, status: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return status
