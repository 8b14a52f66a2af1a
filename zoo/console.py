"""What every command line of the zoo shares: exit statuses, one-line errors, and a quiet TensorFlow."""

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from zoo.errors import Interrupted, RequestError, RunError

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


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines that its libraries write to standard error on a machine without GPU.

    They come from C++ before any log level applies, so the file descriptor is what must be turned away. If the
    import fails they are shown after all.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _drop_output() -> None:
    """Sends what is left of standard output nowhere; Python would complain once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: Exception, status: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return status
