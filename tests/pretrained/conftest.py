"""A server, caches of their own, and entries of what the server publishes."""

import dataclasses
import hashlib

import pytest
import weightless
from loopback import CONTENT, running

from zoo.pretrained import transfer
from zoo.pretrained.catalog import find_entry


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Nothing is in them, and nothing waits between attempts."""
    for name in ("XDG_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TORCH_HOME", "KERAS_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.partition("_")[0].lower()))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")
    monkeypatch.setattr(transfer, "PAUSE", 0.0)


@pytest.fixture
def torch_entry(server):
    """torchvision's, whose digest begins in its name."""
    beginning = hashlib.sha256(CONTENT).hexdigest()[:8]
    file = f"net-{beginning}.pth"
    server.files[f"/models/{file}"] = CONTENT
    entry = find_entry("torchvision/resnet18.IMAGENET1K_V1")
    return dataclasses.replace(entry, url=f"{server.url}/models/{file}", file=file, digest=f"sha256:{beginning}")


@pytest.fixture
def keras_entry(server):
    """Keras', whose whole digest is published."""
    server.files["/resnet/net.h5"] = CONTENT
    digest = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    return dataclasses.replace(
        find_entry("keras/resnet50_v1"), url=f"{server.url}/resnet/net.h5", file="net.h5", digest=digest
    )


@pytest.fixture(scope="package", autouse=True)
def forget_weightless_nets():
    """The tests that come after those of this folder need not carry them along."""
    yield
    weightless.build.cache_clear()
