"""Finding and preparing TFDS builders: those that come with the zoo, TFDS' own, and classes of other packages."""

import contextlib
import difflib
import importlib
import io
import re
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zoo.errors import RequestError, unknown

_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[\w.+\-]+))?(:(?P<version>[\d*]+\.[\d*]+\.[\d*]+))?")
_MODULE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<builder>[A-Za-z_]\w*)(?P<rest>.*)")
# A host that does not answer for so long counts as out of reach.
_CONNECT_SECONDS = 5.0
# Packages and modules whose errors are of a connection.
_NETWORK_MODULES = frozenset({"http", "requests", "socket", "ssl", "urllib", "urllib3"})


class NotPreparedError(RequestError):
    """A dataset is not there, and was not to be prepared."""


class Dataset(NamedTuple):
    """How a dataset is opened and prepared.

    Attributes:
        name: what was asked for.
        make: makes a builder.
        root: the folder of all prepared datasets.
        embedded: comes with the zoo, and is made without a network.
        build_arguments: of `tfds build`.
    """

    name: str
    make: Callable[[], Any]
    root: Path
    embedded: bool
    build_arguments: str

    @property
    def build_command(self) -> str:
        """What prepares the dataset in a way that can be read by index."""
        return f"tfds build {self.build_arguments} --data_dir={self.root} --file_format=array_record"


def find(name: str, data_dir: str | None, embedded: Mapping[str, str]) -> Dataset:
    """How the dataset of this name is opened.

    Args:
        name: of TFDS, of `embedded`, or `package.module:Builder`; each may have `/config` and `:version`.
        data_dir: where datasets are prepared; default: TFDS' own.
        embedded: name to `module:Builder` of the datasets that come with the zoo.

    Raises:
        RequestError: there is no such dataset or config, or its code cannot be imported.
    """
    match = _NAME.fullmatch(name)
    if match and match["name"] in embedded:
        module, _, builder = embedded[match["name"]].partition(":")
        cls = getattr(importlib.import_module(module), builder)
        return _from_class(name, cls, match, data_dir, embedded=True)
    if match:
        return _from_tfds(name, match, data_dir, embedded)
    match = _MODULE.fullmatch(name)
    rest = _NAME.fullmatch(f"x{match['rest']}") if match else None
    if not rest:
        raise _no_such_dataset(name, embedded)
    try:
        cls = getattr(importlib.import_module(match["module"]), match["builder"])
    except Exception as error:
        # Whatever a module of the user's may raise while it is run.
        raise RequestError(f"dataset is {name!r}; {match['builder']} cannot be imported: {_cause(error)}") from error
    if not hasattr(cls, "download_and_prepare"):
        raise RequestError(f"dataset is {name!r}; {match['builder']} is no TFDS builder")
    return _from_class(name, cls, rest, data_dir, embedded=False)


def _from_class(name: str, cls: Any, match: re.Match, data_dir: str | None, embedded: bool) -> Dataset:
    wanted = {key: match[key] for key in ("config", "version") if match[key]}
    _check_config(name, cls, match["config"])
    registered = f"{cls.name}/{match['config']}" if match["config"] else cls.name
    build_arguments = f"{registered} --imports={cls.__module__}"
    return Dataset(name, lambda: cls(data_dir=data_dir, **wanted), _root(data_dir), embedded, build_arguments)


def _from_tfds(name: str, match: re.Match, data_dir: str | None, embedded: Mapping[str, str]) -> Dataset:
    import tensorflow_datasets as tfds

    try:
        cls = tfds.builder_cls(match["name"])
    except tfds.core.DatasetNotFoundError as error:
        # Files that were prepared elsewhere are enough; then there is a builder without code.
        try:
            tfds.builder(name, data_dir=data_dir)
        except (ValueError, OSError):
            raise _no_such_dataset(name, embedded) from error
    except ValueError as error:
        # A word that can be no name of TFDS', such as 1.
        raise _no_such_dataset(name, embedded) from error
    except ImportError as error:
        raise RequestError(f"dataset {name} needs a package that is not installed: {error}") from error
    else:
        _check_config(name, cls, match["config"])
    return Dataset(name, lambda: tfds.builder(name, data_dir=data_dir), _root(data_dir), False, name)


def _check_config(name: str, cls: Any, config: str | None) -> None:
    if config and config not in cls.builder_configs:
        if not cls.builder_configs:
            raise RequestError(f"dataset is {name!r}; {cls.name} has no configs")
        raise unknown(f"config of {cls.name}", config, cls.builder_configs)


def _no_such_dataset(name: str, embedded: Mapping[str, str]) -> RequestError:
    import tensorflow_datasets as tfds

    if name and Path(name).is_dir():
        return RequestError(f"unknown dataset {name!r}; that is a folder: write folder:{name}")
    own = [*embedded, "synthetic", "folder:PATH", "package.module:Builder"]
    known = [*own, *tfds.list_builders(with_community_datasets=False)]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    # TFDS has hundreds of names: without a near one, the zoo's own are enough.
    return unknown("dataset", name, near or [*own, "any name of TensorFlow Datasets"])


def opened(dataset: Dataset) -> Any:
    """A builder of the dataset, prepared or not; a `ValueError` if its name or version will not do."""
    try:
        return dataset.make()
    except Exception as error:
        # Whatever a builder's code may raise. TFDS names the dataset and its arguments first, then what is wrong.
        reason = _cause(error).rpartition('}": ')[2]
        raise RequestError(f"dataset is {dataset.name!r}; it cannot be opened: {reason}") from error


def found(dataset: Dataset, builder: Any) -> Any:
    """The builder of a dataset that is prepared already; nothing is downloaded, made or written.

    Raises:
        NotPreparedError: it is not prepared.
    """
    if not builder.data_path.exists():
        raise NotPreparedError(f"{dataset.name} is not prepared in {dataset.root}")
    return builder


def prepared(dataset: Dataset, builder: Any) -> Any:
    """The builder, after the dataset was downloaded and prepared if need be, with TFDS' progress bars.

    Args:
        dataset: what is to be prepared.
        builder: of `opened`.

    Raises:
        RequestError: it cannot be prepared; the message says what is missing, where it was looked for, and the command
            that prepares it.
    """
    import tensorflow_datasets as tfds

    if builder.data_path.exists():
        return builder
    if not dataset.embedded and _out_of_reach(dataset, builder):
        raise _not_prepared(dataset, builder, "no network")
    manual = _manual(dataset)
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not (manual.is_dir() and any(manual.iterdir())):
        raise _not_prepared(dataset, builder, "no archives")
    # The embedded ones take seconds, and nothing of it belongs into a log.
    quiet = dataset.embedded and not sys.stderr.isatty()
    if quiet:
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO() if dataset.embedded else sys.stderr):
            builder.download_and_prepare(**({} if dataset.embedded else {"file_format": "array_record"}))
    except Exception as error:
        # Whatever a builder's code and the network may raise. Another process may have been faster; a new builder
        # sees what it has made.
        builder = opened(dataset)
        if not builder.data_path.exists():
            if dataset.embedded or not _is_of_network(error):
                raise _failed(dataset, builder, error) from error
            raise _not_prepared(dataset, builder, _one_line(error)) from error
    finally:
        if quiet:
            tfds.enable_progress_bar()
    return builder


def _out_of_reach(dataset: Dataset, builder: Any) -> bool:
    """Whether the dataset must be downloaded and none of its hosts answers: TFDS would try for minutes."""
    urls = [urllib.parse.urlsplit(url) for url in builder.url_infos or ()]
    hosts = {(url.hostname, 80 if url.scheme == "http" else 443) for url in urls if url.hostname}
    downloads = dataset.root / "downloads" / builder.name
    downloaded = any(".tmp." not in file.name for file in downloads.glob("*")) if downloads.is_dir() else False
    if not hosts or downloaded or builder.MANUAL_DOWNLOAD_INSTRUCTIONS or urllib.request.getproxies().get("https"):
        return False
    return not any(_answers(*host) for host in sorted(hosts)[:2])


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _not_prepared(dataset: Dataset, builder: Any, reason: str) -> RequestError:
    """One line: what is missing, where it was looked for, and the command that prepares it."""
    root, command = dataset.root, dataset.build_command
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        return RequestError(
            f"{dataset.name} is not prepared in {root}, and its archives must be fetched by hand: put them into "
            f"{_manual(dataset)}, then run `{command}`; {instructions[:300]}"
        )
    return RequestError(
        f"{dataset.name} is not prepared in {root} and cannot be ({reason[:300]}); "
        f"on a machine with a network run `{command}`"
    )


def _failed(dataset: Dataset, builder: Any, error: Exception) -> RequestError:
    """One line: what the code of a builder raised, and where archives are looked for if it needs some."""
    archives = f"; its archives are looked for in {_manual(dataset)}" if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else ""
    return RequestError(f"{dataset.name} cannot be prepared in {dataset.root}: {_cause(error)[:300]}{archives}")


def _is_of_network(error: BaseException | None) -> bool:
    """Whether an error, or one that it follows from, is of a connection or a download."""
    while error is not None:
        module = type(error).__module__
        if isinstance(error, (ConnectionError, TimeoutError)) or module.partition(".")[0] in _NETWORK_MODULES:
            return True
        if module.startswith("tensorflow_datasets.core.download"):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _manual(dataset: Dataset) -> Path:
    return dataset.root / "downloads" / "manual"


def _root(data_dir: str | None) -> Path:
    import tensorflow_datasets as tfds

    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


def _cause(error: BaseException) -> str:
    """The type of an error and what it says; an assertion's type says nothing more."""
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return f"{kind}{_one_line(error)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
