"""Brings a file over HTTP, on from where an earlier attempt stopped.

`keras.utils.get_file`, `torch.hub` and the downloader of tensorflow_datasets begin anew and remove what they had, and
`huggingface_hub` goes on within a call alone. Hence these lines of urllib.
"""

import contextlib
import dataclasses
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
BUSY = (408, 425, 429, 500, 502, 503, 504)
_PIECE = 1 << 20
# What a disk says that has no room.
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


def digest_of(path: Path, digest: str) -> str:
    """The digest of a file, as much and of the same kind as another: `sha256:11ad3fa6`."""
    kind, _, expected = digest.partition(":")
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()[: len(expected)]}"


@dataclasses.dataclass(frozen=True)
class Download:
    """A file that is to come here.

    What has come so far stands beside it, with `.part` behind its name, and takes the name when it is whole and right.
    It is kept where the connection is cut, the disk is full or the user stops it.

    Attributes:
        url: of the file.
        path: where it goes.
        digest: that it must have, or the beginning of it: `sha256:11ad3fa6`, `md5:...`.
        name: of the file, for the user.
        variable: of the environment, that names the folder.
    """

    url: str
    path: Path
    digest: str
    name: str
    variable: str

    def bring(self) -> None:
        """Downloads it, once: another process that is at it is waited for.

        Raises:
            RequestError: the server cannot be reached, lacks the file or is busy, or sends something else than the
                digest says, of which nothing is kept; or nothing may be written there.
            RunError: the disk is full.
        """
        with self._alone():
            if self.path.exists():
                return
            resumed = self._part.exists()
            found = self._download()
            if resumed and found != self.digest:
                # Its beginning may be of an older file of that name.
                self._part.unlink()
                found = self._download()
            if found != self.digest:
                self._part.unlink()
                raise RequestError(
                    f"{self.url} is not what was published: its digest is {found}, not {self.digest}; nothing of it is "
                    "kept, try again or from another network"
                )
            with self._writing():
                sync(self._part)
                self._part.replace(self.path)

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def _host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def _had(self) -> int:
        """How much of it is here."""
        return self._part.stat().st_size if self._part.exists() else 0

    @property
    def _kept(self) -> str:
        return f", {_megabytes(self._had)} are here and kept" if self._had else ""

    def _download(self) -> str:
        """Adds what is missing, however often the connection is cut, while that gets on; gives the digest."""
        failures = 0
        while True:
            had = self._had
            try:
                with self._opened(had) as answer:
                    if self._append(answer, had):
                        break
                problem = f"the connection to {self._host} was cut"
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416 and had:
                    # There is no more than that; the digest tells whether it is this file.
                    break
                problem = f"{self.url} is not to be had: the server says {error.code} {error.reason}".rstrip()
                if error.code not in BUSY:
                    raise RequestError(f"{problem}; get the file in another way and put it at {self.path}") from error
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
            failures = 0 if self._had > had else failures + 1
            if failures == ATTEMPTS:
                raise RequestError(f"{problem}, {ATTEMPTS} times{self._kept}; try again later")
            if failures:
                time.sleep(PAUSE)
        return digest_of(self._part, self.digest)

    def _unreachable(self, error: Exception) -> RequestError:
        reason = getattr(error, "reason", None) or error
        return RequestError(
            f"{self._host} cannot be reached ({' '.join(str(reason).split())}){self._kept}; get a network, or download "
            f"{self.url} elsewhere and put it at {self.path}"
        )

    def _opened(self, offset: int) -> http.client.HTTPResponse:
        """The server's answer, from a byte on if it can."""
        headers = {"User-Agent": f"zoo/{__version__}", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with waiting.said_if_slow(f"connecting to {self._host}"):
            return urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=SILENCE)

    def _append(self, answer: http.client.HTTPResponse, offset: int) -> bool:
        """Adds what comes; whether that was all."""
        if answer.status != 206 or not re.match(rf"bytes {offset}-", answer.headers.get("Content-Range", "")):
            # The server begins at the beginning, whatever it was asked for.
            offset = 0
        length = answer.headers.get("Content-Length")
        whole = None if length is None else offset + int(length)
        with self._writing():
            self._check_room(0 if whole is None else whole - offset)
            with self._part.open("ab" if offset else "wb") as file, self._shown(offset, whole) as bar:
                for piece in _pieces(answer):
                    file.write(piece)
                    bar.update(len(piece))
        # Where the length is not told the digest decides.
        return whole is None or self._had >= whole

    def _check_room(self, missing: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if missing > free:
            raise RunError(
                f"{self._part} needs {_megabytes(missing)} more, and the disk has {_megabytes(free)}; make space on it "
                "and start the same command again"
            )

    @contextlib.contextmanager
    def _shown(self, offset: int, whole: int | None) -> Iterator[tqdm]:
        """A bar on a terminal; elsewhere a line, if it takes long."""
        terminal = sys.stderr is not None and sys.stderr.isatty()
        size = "" if whole is None else f", {_megabytes(whole)}"
        said = contextlib.nullcontext() if terminal else waiting.said_if_slow(f"downloading {self.name}{size}")
        style = {"unit": "B", "unit_scale": True, "leave": False, "file": sys.stderr, "disable": not terminal}
        with said, tqdm(desc=self.name, initial=offset, total=whole, **style) as bar:
            yield bar

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other processes away from the same file; one that is there first is waited for."""
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), fallback_to_soft=False)
            try:
                held = lock.acquire(timeout=0)
            except Timeout:
                with waiting.said_if_slow(f"another process downloads {self.name}; waiting for it"):
                    held = lock.acquire()
            except NotImplementedError:
                # Where a file system locks nothing two may mix what they write, which the digest tells.
                held = contextlib.nullcontext()
        with held:
            yield
            # Whoever waits for it finds the file, and whoever comes later does not ask for it.
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns the system's refusal to write into a line that says what to do."""
        try:
            yield
        except OSError as error:
            refusal = f"{self._part} cannot be written: {error.strerror or error}"
            if error.errno in _FULL:
                raise RunError(
                    f"{refusal}; make space on that disk and start the same command again, which goes on"
                ) from error
            raise RequestError(f"{refusal}; make it writable, or set {self.variable} to another folder") from error


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes until the connection ends, or is cut."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while piece := answer.read1(_PIECE):
            yield piece


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
