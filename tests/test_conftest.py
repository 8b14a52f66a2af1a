"""What the tests share to save time shows in no test."""

import subprocess
import sys

import numpy as np

from zoo.data.sources import load_source


def test_a_split_that_was_read_is_what_its_files_hold(data_dir, tmp_path):
    kept = load_source("digits", "train[:90%]", data_dir)
    assert load_source("digits", "train[:90%]", data_dir) is kept
    assert load_source("digits", "train[90%:]", data_dir) is not kept
    own = load_source("digits", "train[:90%]", str(tmp_path))
    assert own is not kept
    assert load_source("digits", "train[:90%]", str(tmp_path)) is not own
    assert (own.fingerprint, own.features, own.version) == (kept.fingerprint, kept.features, kept.version)
    assert not any(array.flags.writeable for array in kept.arrays.values())
    np.testing.assert_array_equal(own.arrays["image"], kept.arrays["image"])


def test_a_split_is_read_anew_where_reading_is_tested(data_dir, request):
    one = load_source("digits", "test", data_dir)
    request.getfixturevalue("splits_read_anew")
    assert load_source("digits", "test", data_dir) is not one


def test_an_interrupt_reaches_a_process_that_a_test_starts():
    code = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
