"""Brings a published file here once, into the cache of its publisher's library, and holds it to its published digest.

| publisher | cache | moved by |
|---|---|---|
| timm | `~/.cache/huggingface/hub`, by `huggingface_hub` | `HF_HOME`, `HF_HUB_CACHE` |
| timm's older nets, torchvision | `~/.cache/torch/hub/checkpoints` | `TORCH_HOME`, `XDG_CACHE_HOME` |
| Keras | `~/.keras/models` | `KERAS_HOME` |

So whoever has used these libraries has the files already, and who uses them later need not download them again.
"""

import os
from pathlib import Path

from zoo.errors import RequestError
from zoo.pretrained import hub
from zoo.pretrained.catalog import Entry
from zoo.pretrained.transfer import Download, digest_of

_HUB = "hf://"


def local_file(entry: Entry) -> Path:
    """The file of an entry, from the cache of the publisher's library, downloaded first where it is not there.

    A download that was cut off goes on where it stopped. A file that is there and is not the published one is left
    alone.

    Raises:
        RequestError: the library that it takes is not installed, there is no network (the message says which file goes
            where), the file is not there, or it is not what was published.
        RunError: the disk is full.
    """
    if entry.url.startswith(_HUB):
        return hub.local_file(*_of_hub(entry))
    path = _cached(entry)
    if not path.exists():
        variable = "KERAS_HOME" if entry.names == "keras" else "TORCH_HOME"
        Download(entry.url, path, entry.digest, name=entry.file, variable=variable).bring()
    elif (found := digest_of(path, entry.digest)) != entry.digest:
        raise RequestError(
            f"{path} is not what was published: its digest is {found}, not {entry.digest}; remove or rename it, and it "
            "is downloaded anew"
        )
    return path


def place(entry: Entry) -> Path:
    """Where the file of an entry is, or goes; of the hub's, which tells only then, the folder of its repository."""
    if entry.url.startswith(_HUB):
        return hub.cached_file(*_of_hub(entry)) or hub.folder_of(_of_hub(entry)[0])
    return _cached(entry)


def is_here(entry: Entry) -> bool:
    """Whether the file of an entry is in the cache; its digest is not looked at."""
    return place(entry).is_file()


def address(entry: Entry) -> str:
    """Where a browser finds the file of an entry."""
    return hub.web_address(*_of_hub(entry)) if entry.url.startswith(_HUB) else entry.url


def _of_hub(entry: Entry) -> tuple[str, str]:
    """The repository of an entry and its file there."""
    repository, _, file = entry.url.removeprefix(_HUB).rpartition("/")
    return repository, file


def _cached(entry: Entry) -> Path:
    """Where the publisher's library keeps the file, by its variables of the environment."""
    if entry.names == "keras":
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras")
        return home.expanduser() / "models" / entry.file
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
    return home.expanduser() / "hub" / "checkpoints" / entry.file
