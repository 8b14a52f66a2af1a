"""Lines for who waits."""

import contextlib
import io
import os
import pty
import sys
import threading

from zoo import waiting


def wait_for(condition):
    """Gives a timer's thread the time that it needs, however busy the machine is; False after ten seconds."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(1000))


def read_to_end(terminal):
    """All that was drawn on a terminal whose other end is closed: while it is open some may still be on its way."""
    parts = []
    with contextlib.suppress(OSError):  # what the end is on Linux
        while part := os.read(terminal, 2**16):
            parts.append(part)
    return b"".join(parts)


def test_a_line_reaches_the_screen_while_standard_error_is_turned_away(monkeypatch, tmp_path):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    with (tmp_path / "screen").open("w") as screen, open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stderr", screen)
        saved = os.dup(screen.fileno())
        with waiting.said_if_slow("importing"):
            os.dup2(nowhere.fileno(), screen.fileno())
            assert wait_for(lambda: (tmp_path / "screen").read_text() == "importing ...\n")
        os.dup2(saved, screen.fileno())
        os.close(saved)


def test_on_a_terminal_it_counts_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    monkeypatch.setattr(waiting, "SECOND", 0.01)
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with waiting.said_if_slow("importing"):
            drawn = b""
            while b"... 0 s" not in drawn:
                drawn += os.read(ours, 2**16)
    drawn += read_to_end(ours)
    os.close(ours)
    assert drawn.endswith(b"\r\x1b[2K")


def test_in_a_notebook_whose_standard_error_is_no_file(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with waiting.said_if_slow("importing"):
        assert wait_for(lambda: stream.getvalue() == "importing ...\n")


def test_what_is_quick_is_not_said(capfd):
    with waiting.said_if_slow("importing"):
        pass
    assert capfd.readouterr().err == ""
