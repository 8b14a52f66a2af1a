"""Files of the Hugging Face hub: from its library's cache, by its library, and as the hub says they are."""

import dataclasses
import hashlib
import sys
from pathlib import Path

import pytest
from loopback import COMMIT, CONTENT

from zoo.errors import RequestError
from zoo.pretrained import hub
from zoo.pretrained.catalog import find_entry
from zoo.pretrained.downloading import address, is_here, local_file, place

DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = "/timm/net.tag_in1k/model.safetensors"


@pytest.fixture
def entry(server, monkeypatch):
    """timm's, of a hub that is the server."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.files[FILE] = CONTENT
    return dataclasses.replace(find_entry("timm/resnet18.a1_in1k"), url=f"hf:/{FILE}")


@pytest.fixture
def library():
    return pytest.importorskip("huggingface_hub")


def cached(entry, content: bytes, *, linked: bool = True) -> Path:
    """A file as the library keeps it: named by its digest, and linked to by its name."""
    folder = hub.folder_of(entry.url.removeprefix("hf://").rpartition("/")[0])
    path, blob = folder / "snapshots" / COMMIT / "model.safetensors", folder / "blobs" / DIGEST
    for part in (path, blob, folder / "refs" / "main"):
        part.parent.mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    if linked:
        blob.write_bytes(content)
        path.symlink_to(Path("..", "..", "blobs", DIGEST))
    else:
        path.write_bytes(content)
    return path


def refused(entry) -> str:
    with pytest.raises(RequestError) as caught:
        local_file(entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_here_needs_no_library_and_no_network(entry, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert not is_here(entry)
    path = cached(entry, CONTENT)
    assert is_here(entry)
    assert local_file(entry) == place(entry) == path
    assert server.asked == []


def test_a_cache_without_links_says_no_digest(entry):
    path = cached(entry, b"?", linked=False)
    assert local_file(entry) == path


def test_a_file_in_the_cache_that_is_another_is_left_alone(entry, server):
    path = cached(entry, b"?")
    message = refused(entry)
    assert message.startswith(f"{path.resolve()} is not what was published: its digest is sha256:")
    assert message.endswith(f"; remove it, and {path} with it, and it is downloaded anew")
    assert path.read_bytes() == b"?"
    assert server.asked == []


def test_without_the_library(entry, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert refused(entry) == (
        f"{address(entry)} takes huggingface_hub, which is not installed; "
        "python -m pip install huggingface_hub, as the extra zoo[hub] does"
    )


def test_a_file_is_brought_once(entry, server, library):
    path = local_file(entry)
    assert path.read_bytes() == CONTENT
    assert path.resolve().name == DIGEST
    assert place(entry) == path
    assert server.downloads == [None]
    assert list(path.resolve().parent.iterdir()) == [path.resolve()]
    asked = len(server.asked)
    assert local_file(entry) == path
    assert len(server.asked) == asked
    assert library.hf_hub_download(
        "timm/net.tag_in1k", "model.safetensors", cache_dir=hub.cache_folder(), local_files_only=True
    ) == str(path)


def test_a_connection_that_is_cut_goes_on(entry, server, library):
    server.cuts = [1_000_000]
    assert local_file(entry).read_bytes() == CONTENT
    assert server.downloads == [None, "bytes=1000000-"]


def test_the_next_call_goes_on_where_this_one_gave_up(entry, server, library):
    server.cuts = [1_000_000] * 4
    assert refused(entry).endswith("was cut, 3 times, 1.0 MB are here and kept; try again later")
    assert not is_here(entry)
    server.asked.clear()
    assert local_file(entry).read_bytes() == CONTENT
    assert server.downloads == ["bytes=1000000-"]


def test_other_bytes_than_the_hub_says_are_not_kept(entry, server, library):
    server.files[f"{FILE}.digest"] = DIGEST.encode()
    server.files[FILE] = CONTENT[:-1] + b"?"
    message = refused(entry)
    assert " is not what was published: its digest is sha256:" in message
    assert f"not sha256:{DIGEST};" in message
    assert not is_here(entry)
    server.files[FILE] = CONTENT
    assert local_file(entry).read_bytes() == CONTENT


def test_a_small_file_is_brought_by_the_library(entry, server, library):
    """The hub names it by a digest of another kind."""
    server.files[f"{FILE}.digest"] = b"5" * 40
    assert local_file(entry).read_bytes() == CONTENT


def test_a_file_that_is_not_there(entry, server, library):
    del server.files[FILE]
    assert refused(entry).startswith(f"{address(entry)} is not to be had: 404 ")
    assert len(server.asked) == 1


def test_a_hub_that_is_busy(entry, server, library):
    server.statuses = [503] * 3
    message = refused(entry)
    assert message.startswith(f"{address(entry)} is not to be had: ")
    assert "503" in message
    assert message.endswith(", 3 times; try again later")
    server.statuses = [503] * 2
    assert local_file(entry).read_bytes() == CONTENT


def test_another_server_than_the_hub(entry, server, library):
    """As where a network asks to sign in first."""
    server.hub = False
    assert refused(entry).startswith(f"{address(entry)} is not to be had: ")
    assert not is_here(entry)


def test_without_a_network_it_is_said_what_goes_where(entry, server, library):
    server.go_away()
    message = refused(entry)
    assert message.startswith(f"{address(entry)} is not to be had (")
    assert message.endswith(
        f"; get a network, or copy {place(entry)} here from where there is one: "
        "hf download timm/net.tag_in1k model.safetensors fills it"
    )


def test_offline_as_the_environment_asks(entry, server, library, monkeypatch):
    monkeypatch.setattr(library.constants, "HF_HUB_OFFLINE", True)
    assert "; get a network, or copy " in refused(entry)
    assert server.asked == []


def test_the_library_looks_in_the_same_folder(library, monkeypatch):
    monkeypatch.setenv("HF_HOME", library.constants.HF_HOME)
    assert str(hub.cache_folder()) == library.constants.HF_HUB_CACHE
