"""On a platform that lacks what only Unix has, as Windows does, the zoo is imported, trains, goes on and reports.

The platform is imitated: what Unix alone has is taken away from the zoo's own files, in a process of its own. What
TensorFlow and Python's library do for themselves stays as it is here.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Modules and names of modules that Python has on Unix only.
MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty")
NAMES = {
    "os": (
        "fork",
        "forkpty",
        "getuid",
        "geteuid",
        "getpgid",
        "setsid",
        "killpg",
        "sched_getaffinity",
        "mkfifo",
        "uname",
    ),
    "signal": ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGSTOP", "alarm", "pthread_kill"),
    "time": ("tzset",),
}
IMITATION = f"""
import builtins, os, signal, sys, time
own_import, modules, names = builtins.__import__, {MODULES}, {NAMES}
class Lacking:
    def __init__(self, module): self.module = module
    def __getattr__(self, name):
        if name in names[self.module.__name__]:
            raise AttributeError(f"on this platform module {{self.module.__name__!r}} has no {{name!r}}")
        return getattr(self.module, name)
def imported(name, given_globals=None, given_locals=None, fromlist=(), level=0):
    of_zoo = str((given_globals or {{}}).get("__name__")).partition(".")[0] in ("zoo", "__main__")
    if of_zoo and name in modules:
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    found = own_import(name, given_globals, given_locals, fromlist, level)
    return Lacking(found) if of_zoo and name in names else found
builtins.__import__ = imported
"""


def run(code, *argv, cwd):
    return subprocess.run([sys.executable, "-c", IMITATION + code, *argv], cwd=cwd, capture_output=True, text=True)


def test_the_imitation_takes_away_what_it_should(tmp_path):
    (tmp_path / "zoo").mkdir()
    lines = ["import os", "assert not hasattr(os, 'fork') and os.getcwd()"]
    lines += ["try: import fcntl", "except ImportError: pass", "else: raise AssertionError"]
    (tmp_path / "zoo" / "__init__.py").write_text("\n".join(lines))
    done = run("import zoo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "zoo" / "__init__.py").write_text("import fcntl")
    assert "No module named 'fcntl'" in run("import zoo", cwd=tmp_path).stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    cwd = tmp_path_factory.mktemp("other")
    argv = [f"--data_dir={data_dir}", "--model=mlp", "--epochs=2", "--batch_size=128", "--jit=off", "--workdir=run"]
    train = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from zoo.cli.commands import zoo_train; zoo_train()"
    return cwd, run(train, *argv, cwd=cwd), run(train, *argv, cwd=cwd)


def test_it_trains_and_does_not_run_twice(trained):
    cwd, first, second = trained
    assert first.returncode == 0, first.stderr
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert second.stderr == "run is finished already\n"
    assert json.loads((cwd / "run" / "run.json").read_text())["hardware"]["cores"] >= 1


@pytest.mark.parametrize(
    "argv",
    [
        ["list", "resnet*"],
        ["reproduce", "--check"],
        pytest.param(["report", "run", "--output=page"], marks=pytest.mark.slow),
    ],
)
def test_commands(trained, data_dir, argv):
    commands = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from zoo.cli.commands import zoo; zoo()"
    more = [f"--data_dir={data_dir}"] if argv[0] == "report" else []
    done = run(commands, *argv, *more, cwd=trained[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout
