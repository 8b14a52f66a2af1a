"""The index of the zoo's own models: what the registry knows of them, written down beside their sources.

With it a look-up need not import the families, and Keras with them. It holds a digest of itself and of the sources that
it was made from: where one of them was edited since, the index counts for nothing until `python -m zoo document` has
written it anew.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
FILE = _PACKAGE / "models" / "index.json"


def read() -> list[dict[str, Any]] | None:
    """The facts of each model as JSON has them, tuples as lists; None where there is no index of these sources."""
    try:
        index = json.loads(FILE.read_text(encoding="utf-8"))
        return index["models"] if index["sha256"] == _digest(index["models"]) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def text(models: Sequence[dict[str, Any]]) -> str:
    """What the file should hold, a line for each model.

    Raises:
        TypeError: a fact is nothing that JSON has.
    """
    lines = ",\n".join(map(json.dumps, models))
    return f'{{"sha256": "{_digest(models)}",\n"models": [\n{lines}\n]}}\n'


def _digest(models: Sequence[dict[str, Any]]) -> str:
    """SHA-256 over the sources and what was made of them, the same on every system."""
    families = sorted((_PACKAGE / "models").rglob("*.py"), key=Path.as_posix)
    digest = hashlib.sha256()
    for path in (_PACKAGE / "model_index.py", _PACKAGE / "registry.py", *families):
        # A checkout on Windows may end lines otherwise.
        source = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(source)}\n".encode() + source)
    digest.update(json.dumps(models).encode())
    return digest.hexdigest()
