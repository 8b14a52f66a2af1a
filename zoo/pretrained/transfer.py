"""Brings a file over HTTP, on from where an earlier attempt stopped.

`keras.utils.get_file`, `torch.hub` and the downloader of tensorflow_datasets begin anew and remove what they had, and
`huggingface_hub` goes on only within a call, of its own hub. Hence these lines of urllib.
"""

import contextlib
import errno
import hashlib
import http.client
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from tqdm import tqdm

from zoo import waiting
from zoo.errors import RequestError, RunError
from zoo.runs.files import sync
from zoo.version import __version__

# So often in a row is a server asked that is busy, or that cuts the connection without having sent anything new.
ATTEMPTS = 3
# Seconds between them, and until a server that says nothing counts as gone.
PAUSE, SILENCE = 1.0, 30.0
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_PIECE = 1 << 20
# What a disk says that has no room.
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


def bring(url: str, path: Path, digest: str, variable: str) -> None:
    """Downloads a file, once: another process that is at it is waited for.

    What has come so far stands beside `path`, with `.part` behind its name, and takes the name when it is whole and
    right. It is kept where the connection is cut, the disk is full or the user stops it, and the next call goes on.

    Args:
        url: of the file.
        path: where it goes.
        digest: that it must have, or the beginning of it: `sha256:11ad3fa6`, `md5:...`.
        variable: of the environment, that names the folder.

    Raises:
        RequestError: the server cannot be reached, lacks the file or is busy, or sends something else than the digest
            says, of which nothing is kept; or nothing may be written there.
        RunError: the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    with _alone(path, variable):
        if path.exists():
            return
        resumed = part.exists()
        _bring_part(url, path, part, variable)
        if resumed and not matches(part, digest):
            # Its beginning may be of an older file of that name.
            part.unlink()
            _bring_part(url, path, part, variable)
        if not matches(part, digest):
            found = digest_of(part, digest)
            part.unlink()
            raise RequestError(
                f"{url} is not what was published: its digest is {found}, not {digest}; nothing of it is kept, try "
                "again or from another network"
            )
        with _writing(path, variable):
            sync(part)
            part.replace(path)


def digest_of(path: Path, digest: str) -> str:
    """The digest of a file, as much and of the same kind as another: `sha256:11ad3fa6`."""
    kind, _, expected = digest.partition(":")
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()[: len(expected)]}"


def matches(path: Path, digest: str) -> bool:
    """Whether a file has a digest, or one that begins so."""
    return digest_of(path, digest) == digest


def _bring_part(url: str, path: Path, part: Path, variable: str) -> None:
    """Adds to `part` what is missing of it, however often the connection is cut, while that gets on."""
    failures = 0
    while True:
        had = _size(part)
        try:
            with _opened(url, had) as answer:
                if _append(answer, path, part, had, variable):
                    return
            problem = f"the connection to {_host(url)} was cut"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and had:
                # There is no more than that; the digest tells whether it is this file.
                return
            problem = f"{url} is not to be had: the server says {error.code} {error.reason}".rstrip()
            if error.code not in _BUSY:
                raise RequestError(f"{problem}; get the file in another way and put it at {path}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise RequestError(
                f"{_host(url)} cannot be reached ({' '.join(str(reason).split())}){_kept(part)}; get a network, or "
                f"download {url} elsewhere and put it at {path}"
            ) from error
        failures = 0 if _size(part) > had else failures + 1
        if failures == ATTEMPTS:
            raise RequestError(f"{problem}, {ATTEMPTS} times{_kept(part)}; try again later")
        if failures:
            time.sleep(PAUSE)


def _opened(url: str, offset: int) -> http.client.HTTPResponse:
    """The server's answer, from a byte on if it can."""
    headers = {"User-Agent": f"zoo/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with waiting.said_if_slow(f"connecting to {_host(url)}"):
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SILENCE)


def _append(answer: http.client.HTTPResponse, path: Path, part: Path, offset: int, variable: str) -> bool:
    """Adds what comes; whether that was all."""
    if answer.status != 206 or not re.match(rf"bytes {offset}-", answer.headers.get("Content-Range", "")):
        # The server begins at the beginning, whatever it was asked for.
        offset = 0
    length = answer.headers.get("Content-Length")
    whole = None if length is None else offset + int(length)
    with _writing(part, variable):
        _check_room(part, 0 if whole is None else whole - offset)
        with part.open("ab" if offset else "wb") as file, _shown(path, offset, whole) as bar:
            for piece in _pieces(answer):
                file.write(piece)
                bar.update(len(piece))
    # Where the length is not told the digest decides.
    return whole is None or _size(part) >= whole


def _pieces(answer: BinaryIO) -> Iterator[bytes]:
    """What comes until the connection ends, or is cut."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while piece := answer.read1(_PIECE):
            yield piece


def _check_room(part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise RunError(
            f"{part} needs {_megabytes(missing)} more, and the disk has {_megabytes(free)}; make space on it and start "
            "the same command again"
        )


@contextlib.contextmanager
def _shown(path: Path, offset: int, whole: int | None) -> Iterator[tqdm]:
    """A bar on a terminal; elsewhere a line, if it takes long."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    size = "" if whole is None else f", {_megabytes(whole)}"
    said = contextlib.nullcontext() if terminal else waiting.said_if_slow(f"downloading {path.name}{size}")
    style = {"unit": "B", "unit_scale": True, "leave": False, "file": sys.stderr, "disable": not terminal}
    with said, tqdm(desc=path.name, initial=offset, total=whole, **style) as bar:
        yield bar


@contextlib.contextmanager
def _alone(path: Path, variable: str) -> Iterator[None]:
    """Keeps other processes away from the same file; one that is there first is waited for."""
    with _writing(path, variable):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), fallback_to_soft=False)
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            with waiting.said_if_slow(f"another process downloads {path.name}; waiting for it"):
                held = lock.acquire()
        except NotImplementedError:
            # Where a file system locks nothing two may mix what they write, which the digest tells.
            held = contextlib.nullcontext()
    with held:
        yield


@contextlib.contextmanager
def _writing(path: Path, variable: str) -> Iterator[None]:
    """Turns the system's refusal to write into a line that says what to do."""
    try:
        yield
    except OSError as error:
        refusal = f"{path} cannot be written: {error.strerror or error}"
        if error.errno in _FULL:
            raise RunError(
                f"{refusal}; make space on that disk and start the same command again, which goes on"
            ) from error
        raise RequestError(f"{refusal}; make it writable, or set {variable} to another folder") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _kept(part: Path) -> str:
    return f", {_megabytes(_size(part))} are here and kept" if _size(part) else ""


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _host(url: str) -> str:
    return urlsplit(url).netloc
