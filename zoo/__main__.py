"""Runs a command: python -m zoo list | inspect | train | ...; python -m zoo shows all of them."""

from zoo.cli.commands import zoo

if __name__ == "__main__":
    zoo()
