"""Who waits for a page is told how far it is, and nobody else."""

from zoo.analysis.runs import waiting


def test_what_takes_long_is_told(monkeypatch, capsys):
    # It begins at 0 s, and the items at 0.1, 1.2, 2.0 and 2.3 s; the clock is read once more after each line.
    times = iter([0.0, 0.1, 1.2, 1.2, 2.0, 2.3, 2.3])
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(times))
    assert list(waiting.with_progress("abcd", "drawing")) == list("abcd")
    assert capsys.readouterr().err == "report: drawing, 1 of 4 done\nreport: drawing, 3 of 4 done\n"


def test_what_is_quick_is_not_told(capsys):
    assert list(waiting.with_progress("abcd", "drawing")) == list("abcd")
    assert capsys.readouterr() == ("", "")
