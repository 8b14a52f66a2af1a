"""What the tests share to save time shows in no test."""

import subprocess
import sys


def test_an_interrupt_reaches_a_process_that_a_test_starts():
    code = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
