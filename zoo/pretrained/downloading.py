"""Brings a published file here once, through the library of its hub, and holds it to its published digest."""

from pathlib import Path

from zoo.pretrained.catalog import Entry


def local_file(entry: Entry) -> Path:
    """The file of an entry, from the cache of the publisher's library, downloaded first where it is not there.

    A download that was cut off goes on where it stopped.

    Raises:
        RequestError: the library that it takes is not installed, there is no network (the message says which file goes
            where), the file is not there, or it is not what was published.
        RunError: the disk is full.
    """
    raise NotImplementedError
