"""Clones for the tests of recipes, records and bands."""

import json
import signal

import pytest
from clones import BAND, Clone, record

from zoo.baselines import disagreements


@pytest.fixture
def clone(tmp_path, monkeypatch, capsys):
    # A shell that runs the tests in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Clone(tmp_path, monkeypatch, capsys)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def recorded(clone):
    """With three records such as the stub makes, the band, and a README that says so."""
    folder = clone.root / "results" / "tiny"
    folder.mkdir(parents=True)
    for seed in range(3):
        (folder / f"{seed}.json").write_text(json.dumps(record(seed, 0.9 + 0.02 * seed)))
    clone.write(BAND)
    clone.readme("0.9200 ± 0.0200")
    assert disagreements(["tiny"]) == []
    return clone
