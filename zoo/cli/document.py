"""Writes docs/models, the tables of README and docs/, and the index of models from what they are of."""

from types import SimpleNamespace

from zoo.cli import console
from zoo.cli.options import Option
from zoo.errors import RunError

ARGUMENTS = ()
OPTIONS = (Option("check", False, "only say which are not up to date"),)


def main(options: SimpleNamespace) -> None:
    """Writes them, or says which of them are not up to date."""
    console.import_tensorflow()
    from zoo.analysis.docs import cards

    if options.check:
        stale = cards.stale()
        print("\n".join(stale or ["cards, pages and README are up to date"]))
        if stale:
            raise RunError("these files are not up to date; python -m zoo document writes them")
        return
    print("\n".join(cards.write() or ["nothing has changed"]))
