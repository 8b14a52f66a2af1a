"""Which code a result comes from: the last commit that changed it, and whether the files are those of the commit."""

import subprocess

import pytest

from zoo.runs import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the zoo's layout; gives what runs git in it, and what writes a file."""
    module = tmp_path / "zoo" / "runs" / "provenance.py"
    module.parent.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(module))

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    git("init", "-q")
    for name in ("zoo/runs/provenance.py", "train.py", "README.md"):
        write(name, "1")
    git("add", "-A")
    git("commit", "-qm", "first")
    return git, write


def test_only_code_counts(checkout):
    git, write = checkout
    first = git("rev-parse", "HEAD")
    assert provenance._commit() == first
    # Files beside the code, and commits of documents, change no result.
    write("notes.txt", "mine")
    write("README.md", "2")
    assert provenance._commit() == first
    git("add", "-A")
    git("commit", "-qm", "documents")
    assert provenance._commit() == first
    write("zoo/new.py", "an untracked model is code all the same")
    assert provenance._commit() == f"{first}+changes"
    git("add", "-A")
    git("commit", "-qm", "code")
    assert provenance._commit() == git("rev-parse", "HEAD")
    write("train.py", "2")
    assert provenance._commit() == f"{git('rev-parse', 'HEAD')}+changes"


def test_an_installed_zoo_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site-packages" / "zoo" / "runs" / "provenance.py"))
    assert provenance._commit() is None
