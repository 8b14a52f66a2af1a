"""Files of the Hugging Face hub: its library says which there are and keeps them in its cache.

The library goes on with a download that is cut only within a call: what it has is removed where the user stops it. So
the bytes come by `zoo.pretrained.transfer`, into the place where the library looks for them first.
"""

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Any

from zoo.errors import RequestError
from zoo.pretrained import transfer
from zoo.pretrained.transfer import Download, digest_of

# The digest by which the hub names a large file.
_SHA256 = re.compile(r"[0-9a-f]{64}")


def cache_folder() -> Path:
    """Where `huggingface_hub` keeps files, by its variables of the environment."""
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    folder = next(filter(None, map(os.environ.get, names)), None) or str(Path(home) / "hub")
    return Path(os.path.expandvars(folder)).expanduser()


def web_address(repository: str, file: str, revision: str = "main") -> str:
    """The address of a file for a browser."""
    return f"{_endpoint()}/{repository}/resolve/{revision}/{file}"


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

    It is held to the digest by which the hub names it, and so what the cache links to; where a cache has no links
    there is no digest.

    Raises:
        RequestError: the library is not installed, there is no network or no such file, or it is not what was
            published.
        RunError: the disk is full.
    """
    path = cached_file(repository, file) or _download(repository, file)
    blob = path.parent / os.readlink(path) if path.is_symlink() else path
    digest = f"sha256:{blob.name}"
    if _SHA256.fullmatch(blob.name) and (found := digest_of(blob, digest)) != digest:
        raise RequestError(
            f"{blob.resolve()} is not what was published: its digest is {found}; remove it, and {path} with it, and it "
            "is downloaded anew"
        )
    return path


def _download(repository: str, file: str) -> Path:
    """Brings it, and has the library link to it."""
    hub = _library(repository, file)
    facts = _facts(hub, repository, file)
    if facts.commit_hash and _SHA256.fullmatch(facts.etag or ""):
        address = web_address(repository, file, facts.commit_hash)
        blob = folder_of(repository) / "blobs" / facts.etag
        name = f"{repository}/{file}"
        Download(address, blob, f"sha256:{facts.etag}", name=name, variable="HF_HOME").bring()
    try:
        return Path(hub.hf_hub_download(repository, file, cache_dir=cache_folder(), endpoint=_endpoint()))
    except Exception as error:
        # Versions of the library send requests by different libraries, whose errors have nothing in common.
        raise RequestError(f"{web_address(repository, file)} is not to be had: {_line(error)}; try again") from error


def _facts(hub: Any, repository: str, file: str) -> Any:
    """What the hub says of a file now: the digest among it.

    Asked here first, since the library's own download repeats its question for half a minute where there is no network.
    """
    address = web_address(repository, file)
    problem = f"{address} is not to be had"
    attempt = 0
    while True:
        attempt += 1
        try:
            return hub.get_hf_file_metadata(address)
        except hub.errors.HfHubHTTPError as error:
            busy = error.response.status_code in transfer.BUSY
            if not busy or attempt == transfer.ATTEMPTS:
                later = f", {attempt} times; try again later" if busy else ""
                raise RequestError(f"{problem}: {_line(error)}{later}") from error
        except Exception as error:
            # As above; HF_HUB_OFFLINE is among them.
            raise RequestError(
                f"{problem} ({_line(error)}); get a network, or copy {folder_of(repository)} here from where there is "
                f"one: hf download {repository} {file} fills it"
            ) from error
        time.sleep(transfer.PAUSE)


def _library(repository: str, file: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{web_address(repository, file)} takes huggingface_hub, which is not installed; "
            "python -m pip install huggingface_hub, as the extra zoo[hub] does"
        ) from error
    return huggingface_hub


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _line(error: BaseException) -> str:
    """What went wrong, without its advice."""
    return next(filter(None, (line.strip() for line in str(error).splitlines())), type(error).__name__)
