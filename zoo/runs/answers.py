"""What a run answered to each evaluation example: `evaluation.npz`, and the confusion matrices as tables."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np

from zoo.errors import RequestError
from zoo.runs.files import write_atomically


def write_answers(
    folder: Path,
    answers: dict[str, np.ndarray],
    confusions: dict[str, np.ndarray],
    class_names: dict[str, tuple[str, ...]],
) -> None:
    """Writes the files of an evaluation.

    Args:
        folder: of the run.
        answers: by name, (n,), and of which example each is; they become `evaluation.npz`.
        confusions: counts by label, rows true classes, columns predicted ones; `confusion_<label>.csv`.
        class_names: by label.

    Raises:
        RunError: the system refuses to write.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, **{name.replace("/", "."): values for name, values in answers.items()})
    write_atomically(folder / "evaluation.npz", packed.getvalue())
    for label, counts in confusions.items():
        write_atomically(folder / f"confusion_{label}.csv", _confusion_csv(counts, class_names[label]))


def read_answers(folder: Path) -> dict[str, np.ndarray] | None:
    """What a run answered to each evaluation example, by name, (n,); None where `evaluation.npz` is not there.

    Raises:
        RequestError: the file is damaged.
    """
    path = folder / "evaluation.npz"
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return {name: stored[name] for name in stored}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error


def read_confusions(folder: Path) -> dict[str, tuple[list[str], np.ndarray]]:
    """The confusion matrices of a run by label: the names of the classes, and the counts, int64 (classes, classes).

    Raises:
        RequestError: a file is damaged.
    """
    found = {}
    for path in sorted(folder.glob("confusion_*.csv")):
        try:
            (_, *names), *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
            counts = np.array([row[1:] for row in rows], np.int64).reshape(len(names), len(names))
        except (OSError, ValueError) as error:
            raise RequestError(f"{path} cannot be read: {error}") from error
        found[path.stem.removeprefix("confusion_")] = names, counts
    return found


def _confusion_csv(counts: np.ndarray, names: tuple[str, ...]) -> bytes:
    """A confusion matrix as a table with the names of the classes."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["true \\ predicted", *names])
    table.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))
    return text.getvalue().encode()
