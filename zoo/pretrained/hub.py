"""Files of the Hugging Face hub, from the cache of its library, which brings them."""

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import Any

from zoo.errors import RequestError, RunError
from zoo.pretrained import transfer

# The digest that the hub names a large file by.
_SHA256 = re.compile(r"[0-9a-f]{64}")


def cache_folder() -> Path:
    """Where `huggingface_hub` keeps files, by its variables of the environment."""
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    folder = next(filter(None, map(os.environ.get, names)), None) or str(Path(home) / "hub")
    return Path(os.path.expandvars(folder)).expanduser()


def web_address(repository: str, file: str) -> str:
    """The address of a file for a browser."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return f"{endpoint}/{repository}/resolve/main/{file}"


def folder_of(repository: str) -> Path:
    """Where the cache keeps a repository."""
    return cache_folder() / f"models--{repository.replace('/', '--')}"


def cached_file(repository: str, file: str) -> Path | None:
    """A file as it was last downloaded; None where it was not. The library is not asked."""
    folder = folder_of(repository)
    with contextlib.suppress(OSError):
        commit = (folder / "refs" / "main").read_text().strip()
        path = folder / "snapshots" / commit / file
        return path if path.is_file() else None
    return None


def local_file(repository: str, file: str) -> Path:
    """A file of the hub: the cached one, without asking for a newer one, or else the one that is there now.

    It is held to the digest that the hub names it by, which is in the name of what the cache links to; where a cache
    has no links there is none. `huggingface_hub` goes on with a download that is cut off within the call; one that was
    stopped begins anew.

    Raises:
        RequestError: the library is not installed, there is no network or no such file, or it is not what was
            published.
        RunError: the disk is full.
    """
    cached = cached_file(repository, file)
    path = cached or _download(repository, file)
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name) and not transfer.matches(blob, f"sha256:{blob.name}"):
        found = transfer.digest_of(blob, f"sha256:{blob.name}")
        if cached:
            raise RequestError(
                f"{blob} is not what was published: its digest is {found}; remove it, and {path} with it, and it is "
                "downloaded anew"
            )
        for wrong in (path, blob):
            wrong.unlink(missing_ok=True)
        raise RequestError(
            f"{web_address(repository, file)} is not what was published: its digest is {found}, not sha256:{blob.name};"
            " nothing of it is kept, try again or from another network"
        )
    return path


def _download(repository: str, file: str) -> Path:
    """Lets the library bring it."""
    address = web_address(repository, file)
    hub = _library(address)
    problem, folder = f"{address} is not to be had", folder_of(repository)
    endpoint = address.removesuffix(f"/{repository}/resolve/main/{file}")
    try:
        return Path(hub.hf_hub_download(repository, file, cache_dir=cache_folder(), endpoint=endpoint))
    except hub.errors.LocalEntryNotFoundError as error:
        # Offline, whether asked for or not, or a server that has trouble.
        cause = error.__cause__ or error
        if isinstance(cause, hub.errors.HfHubHTTPError):
            raise RequestError(f"{problem}: {_line(cause)}; try again later") from error
        raise RequestError(
            f"{problem} ({_line(cause)}); get a network, or copy {folder} here from where there is one: "
            f"hf download {repository} {file} fills it"
        ) from error
    except Exception as error:
        # Versions of the library send requests by different libraries, whose errors have nothing in common.
        if getattr(error, "errno", None) in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise RunError(
                f"{folder} cannot be filled: {_line(error)}; make space on that disk and try again"
            ) from error
        raise RequestError(f"{problem}: {_line(error)}") from error


def _library(address: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{address} comes by huggingface_hub, which is not installed; python -m pip install 'zoo[hub]' brings it"
        ) from error
    return huggingface_hub


def _line(error: BaseException) -> str:
    """The first sentence of what went wrong."""
    return next(filter(None, (line.strip() for line in str(error).splitlines())), type(error).__name__)
