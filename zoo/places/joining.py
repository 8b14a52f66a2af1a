"""How a process takes its place in a job: it makes the strategy, meets the other workers, and says what it took.

TensorFlow is imported when a process joins, so that a request which the workdir alone can answer is answered at once.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo.errors import RequestError, RunError
from zoo.places.place import Place

if TYPE_CHECKING:
    import tensorflow as tf

    from zoo.places.workers import Workers


def join(place: Place) -> "tuple[tf.distribute.Strategy, Workers]":
    """Makes the strategy of a place; it waits for the other workers where there are several.

    Where the user alone does not decide what devices it takes, a line on standard error says which it took.

    Raises:
        RequestError: the devices cannot be had.
        RunError: the workers do not come together.
    """
    from zoo.places.strategy import describe, find_cluster, make_strategy
    from zoo.places.workers import Workers

    announces = place.has_workers and place.is_chief
    if announces:
        cluster = find_cluster(place)
        _say(f"worker 0 of {len(cluster.hosts)} waits for the others of {cluster.source}: {', '.join(cluster.hosts)}")
    strategy = make_strategy(place)
    if announces or place.strategy in ("auto", "tpu"):
        _say(f"strategy {place.strategy} took {describe(strategy)}")
    return strategy, Workers(strategy)


@contextlib.contextmanager
def refused_together(place: Place) -> Iterator[None]:
    """If a request is refused inside, this worker first joins the others, so that they are refused too.

    Otherwise they would wait for it forever. It is for what may differ between workers that have the same flags, since
    each looks into the workdir for itself, and for the time before they have joined. A worker that was given other
    flags than the rest is refused at once, and the others wait until it is started again.
    """
    try:
        yield
    except RequestError:
        if place.has_workers:
            # A worker without a config differs from all others, so each of them is refused when configs are compared.
            with contextlib.suppress(RequestError, RunError):
                join(place)[1].first_different("")
        raise


def _say(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(message, file=sys.stderr)
