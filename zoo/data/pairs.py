"""Which examples are compared: pairs for training and evaluation, and episodes of one-shot classification.

Everything is a function of hashed keys and of the labels, as in `randomness`: no generator, no state.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from zoo.data.randomness import derive, random_integers
from zoo.data.sources.example_source import ExampleSource, fetch_examples
from zoo.errors import RequestError


class PartnerDraw:
    """Draws a partner for an example, of its class or of another.

    Args:
        labels: class of every example of the split, (n,).
        what: names split and label in errors.

    Raises:
        RequestError: there is one class only, or a class with one example.
    """

    def __init__(self, labels: np.ndarray, what: str):
        classes, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise RequestError(f"{what} has one class only; pairs need at least two")
        if counts.min() < 2:
            raise RequestError(
                f"{what} has one example only of class {classes[counts.argmin()]}; pairs need at least two of each"
            )
        # Examples ordered by class: a class is a range of places.
        order = np.argsort(class_of, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._size = len(order)
        self._order = tf.constant(order, tf.int64)
        self._place = tf.constant(place, tf.int64)
        self._start = tf.constant(starts[class_of], tf.int64)
        self._count = tf.constant(counts[class_of], tf.int64)

    def __call__(self, indices: tf.Tensor, alike: tf.Tensor, keys: tf.Tensor, draw: int) -> tf.Tensor:
        """A partner for each example, int64 (n,).

        Args:
            indices: int64 (n,).
            alike: bool (n,): of the same class, and never the example itself, or of another class; each example
                that fits is as likely as any other.
            keys: uint64 (n,).
            draw: which of a key's numbers.
        """
        start, count = tf.gather(self._start, indices), tf.gather(self._count, indices)
        step = tf.cast(random_integers(keys, draw, tf.where(alike, count - 1, self._size - count)), tf.int64)
        own = tf.gather(self._place, indices) - start
        same = start + (own + 1 + step) % count
        other = (start + count + step) % self._size
        return tf.gather(self._order, tf.where(alike, same, other))


@dataclasses.dataclass(frozen=True)
class PairList:
    """A fixed list of pairs.

    Attributes:
        left, right: int64 (n,), indices of examples.
        same: bool (n,), whether both are of one class.
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray


def fixed_pairs(labels: np.ndarray, what: str) -> PairList:
    """Every example once as `left`, with a partner; half of the pairs (rounded up) are alike.

    Args:
        labels: class of every example, (n,).
        what: names split and label in errors.
    """
    size = len(labels)
    left = np.arange(size)
    keys = derive(tf.constant(_PAIRS, tf.uint64), tf.constant(left))
    alike = np.empty(size, bool)
    alike[np.argsort(derive(keys, 0).numpy(), kind="stable")] = left < (size + 1) // 2
    right = PartnerDraw(labels, what)(tf.constant(left), tf.constant(alike), keys, 1).numpy()
    return PairList(left, right, alike)


@dataclasses.dataclass(frozen=True)
class Episodes:
    """A fixed list of N-way K-shot tasks: of which of N classes is the query, given K images of each?

    Attributes:
        queries: int64 (episodes,), indices of examples.
        supports: int64 (episodes, ways, shots), likewise.
        answers: int64 (episodes,), the way that is the query's class.
    """

    queries: np.ndarray
    supports: np.ndarray
    answers: np.ndarray

    def pairs(self) -> PairList:
        """Each query with each of its supports, episode by episode, way by way."""
        episodes, ways, shots = self.supports.shape
        same = np.arange(ways)[None, :, None] == self.answers[:, None, None]
        return PairList(
            np.repeat(self.queries, ways * shots),
            self.supports.reshape(-1),
            np.broadcast_to(same, (episodes, ways, shots)).reshape(-1),
        )


def make_episodes(
    labels: np.ndarray,
    groups: np.ndarray | None,
    views: np.ndarray | None,
    *,
    ways: int,
    shots: int,
    count: int,
    what: str,
) -> Episodes:
    """Episodes that are the same in every run.

    Args:
        labels: class of every example, (n,).
        groups: the classes of an episode are of one group, such as an alphabet, (n,); None: of any.
        views: where all classes of an episode allow it, the support images are of another view than the query, such
            as another typeface or drawer, (n,); None: any.
        ways: N, how many classes an episode has.
        shots: K, how many support images each of them has.
        count: how many episodes.
        what: names split and label in errors.

    Raises:
        RequestError: no group has enough classes with enough examples.
    """
    groups = np.zeros(len(labels), np.int64) if groups is None else groups
    views = np.arange(len(labels)) if views is None else views
    fitting = _fitting_classes(labels, groups, ways, shots)
    if not fitting:
        raise RequestError(
            f"{what} has no {ways} classes of one group with {shots + 1} examples each; lower ways or shots"
        )
    most = max(len(fitting), ways, *(len(part) for members in fitting for part in (members, *members)))
    made = []
    for number in range(count):
        # A table of hashes; the order of the first n of a row is a permutation of 0..n - 1.
        rows = derive(derive(tf.constant(_EPISODES, tf.uint64), number), tf.range(4 + ways, dtype=tf.int64))
        bits = derive(rows[:, None], tf.range(most, dtype=tf.int64)).numpy()
        made.append(_episode(bits, fitting, views, ways, shots))
    return Episodes(*(np.array(part) for part in zip(*made, strict=True)))


def pixel_scores(source: ExampleSource, episodes: Episodes) -> np.ndarray:
    """How alike a query is to each support by the Euclidean distance of pixels, which is what is to be beaten.

    Args:
        source: the split, its images of one size.
        episodes: of the split.

    Returns:
        Minus the distance, float64 (episodes, ways, shots).
    """
    scores = np.empty(episodes.supports.shape)
    for number, (query, supports) in enumerate(zip(episodes.queries, episodes.supports, strict=True)):
        images = fetch_examples(source, [query, *supports.reshape(-1)])["image"].astype(np.float64)
        distances = ((images[1:] - images[0]) ** 2).sum((1, 2, 3))
        scores[number] = -np.sqrt(distances).reshape(supports.shape)
    return scores


def _fitting_classes(labels: np.ndarray, groups: np.ndarray, ways: int, shots: int) -> list[list[np.ndarray]]:
    """By group, the examples of each class that has enough of them; groups with too few classes are left out."""
    result = []
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        members = [inside[labels[inside] == label] for label in np.unique(labels[inside])]
        members = [examples for examples in members if len(examples) > shots]
        if len(members) >= ways:
            result.append(members)
    return result


def _episode(bits: np.ndarray, fitting: list[list[np.ndarray]], views: np.ndarray, ways: int, shots: int):
    """Query, supports and answer of the episode with these hashes."""

    def shuffled(row, items):
        return [items[i] for i in np.argsort(bits[row, : len(items)], kind="stable")]

    members = shuffled(0, fitting)[0]
    chosen = shuffled(1, members)[:ways]
    answer = shuffled(2, range(ways))[0]
    query = shuffled(3, chosen[answer])[0]
    candidates = [examples[examples != query] for examples in chosen]
    differing = [examples[views[examples] != views[query]] for examples in candidates]
    # For all classes or for none: the view must not tell the right one.
    if min(map(len, differing)) >= shots:
        candidates = differing
    return query, [shuffled(4 + way, examples)[:shots] for way, examples in enumerate(candidates)], answer


# What the hashes of the two lists begin with: the lists belong to the split and not to a run, so no seed enters.
_PAIRS, _EPISODES = 1, 2
