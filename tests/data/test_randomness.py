"""Random numbers as functions of a counter: against the published generator, and against chance."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import randomness

MASK = 2**64 - 1


def splitmix64(x):
    """Steele, Lea and Flood 2014, in Python's own integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def keys(count, seed=0, epoch=0):
    epochs = tf.fill([count], tf.constant(epoch, tf.int64))
    return randomness.example_keys(seed, epochs, tf.range(count, dtype=tf.int64))


def surprise(counts, expected):
    """By how many standard deviations the chi-squared statistic of equal expectations lies above its mean."""
    counts = np.asarray(counts, "float64").ravel()
    freedom = len(counts) - 1
    return (((counts - expected) ** 2).sum() / expected - freedom) / np.sqrt(2 * freedom)


def test_mix_is_splitmix64():
    # The first outputs of the reference generator seeded with 1234567 (Vigna's splitmix64.c).
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    states = [(1234567 + (i + 1) * randomness._GOLDEN_GAMMA) & MASK for i in range(3)]
    assert randomness.mix(tf.constant(states, tf.uint64)).numpy().tolist() == expected
    assert [splitmix64(state) for state in states] == expected


def test_keys_depend_on_seed_epoch_and_index_alone():
    one = keys(64).numpy()
    assert len(set(one)) == 64
    np.testing.assert_array_equal(keys(16).numpy(), one[:16])
    everything = np.concatenate([keys(64, seed=s, epoch=e).numpy() for s in range(4) for e in range(4)])
    assert len(set(everything)) == 4 * 4 * 64


@pytest.mark.parametrize("bound", [2, 3, 9])
def test_random_integers_are_uniform_and_draws_independent(bound):
    many = keys(60_000)
    first, second = (randomness.random_integers(many, draw, bound).numpy() for draw in (0, 1))
    counts = np.zeros((bound, bound))
    np.add.at(counts, (first, second), 1)
    assert surprise(counts, 60_000 / bound**2) < 5


def permutations(size, epochs, seed=5):
    """One row per epoch."""
    positions = tf.tile(tf.range(size, dtype=tf.int64)[None], [epochs, 1])
    return randomness.permuted(positions, tf.range(epochs, dtype=tf.int64), seed=seed, size=size).numpy()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 10, 50, 1437, 4096, 50_000])
def test_permuted_is_a_permutation(size):
    for row in permutations(size, epochs=3):
        np.testing.assert_array_equal(np.sort(row), np.arange(size))


def test_permutations_differ_by_epoch_and_seed():
    rows = np.concatenate([permutations(100, epochs=50, seed=seed) for seed in range(4)])
    assert len({row.tobytes() for row in rows}) == 200


def test_one_position_alone_is_the_same_as_among_others():
    alone = randomness.permuted(tf.constant([[7]], tf.int64), tf.constant([1], tf.int64), seed=5, size=10)
    assert alone.numpy()[0, 0] == permutations(10, epochs=2)[1, 7]


def test_works_beyond_32_bits():
    size = 10**10
    positions = tf.constant([[0, 1, size - 1]], tf.int64)
    indices = randomness.permuted(positions, tf.constant([0], tf.int64), seed=0, size=size).numpy()
    assert len(set(indices[0])) == 3
    assert ((indices >= 0) & (indices < size)).all()


@pytest.mark.parametrize("size", [10, 64, 100])
def test_permutations_favour_no_place_and_no_neighbour(size):
    """As even as chance over 20,000 permutations; two rounds fewer would fail."""
    rows = permutations(size, epochs=20_000)
    places = np.zeros((size, size))
    np.add.at(places, (np.broadcast_to(np.arange(size), rows.shape), rows), 1)
    assert surprise(places, len(rows) / size) < 5
    steps = np.bincount(((rows[:, 1:] - rows[:, :-1]) % size).ravel(), minlength=size)[1:]
    assert surprise(steps, steps.sum() / (size - 1)) < 5


def test_all_orders_of_four_are_equally_likely():
    _, counts = np.unique(permutations(4, epochs=24_000), axis=0, return_counts=True)
    assert len(counts) == 24
    assert surprise(counts, 1000) < 5


def test_random_uniform_is_uniform_and_below_one():
    numbers = randomness.random_uniform(keys(100_000), 3).numpy()
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert surprise(np.bincount((numbers * 100).astype(int), minlength=100), 1000) < 5
    # The upper 24 bits, so that the largest is the last number below 1.
    bits = [splitmix64((int(key) + 4 * randomness._GOLDEN_GAMMA) & MASK) for key in keys(50).numpy()]
    np.testing.assert_array_equal(numbers[:50], [(b >> 40) / 2**24 for b in bits])


def test_draws_broadcast():
    many = randomness.random_uniform(keys(8)[:, None], tf.range(5, dtype=tf.int64)).numpy()
    for draw in range(5):
        np.testing.assert_array_equal(many[:, draw], randomness.random_uniform(keys(8), draw))


def test_bounds_may_differ_by_key():
    bounds = np.arange(1, 65)
    numbers = randomness.random_integers(keys(64), 2, tf.constant(bounds)).numpy()
    for key, bound, number in zip(tf.reshape(keys(64), [-1, 1]), bounds, numbers, strict=True):
        assert randomness.random_integers(key, 2, int(bound)).numpy()[0] == number
        assert 0 <= number < bound


@pytest.mark.parametrize("function", [tf.cos, tf.sin, tf.exp])
def test_steady_functions_give_the_same_bits_alone_and_among_others(function):
    x = tf.constant(np.random.default_rng(0).standard_normal(997), tf.float32)
    among = randomness.steady(function, x)
    # Near their zeros cos and sin are as exact as numbers of the size of 1 can be, not more.
    np.testing.assert_allclose(among, function(tf.cast(x, tf.float64)), rtol=1e-6, atol=2**-22)
    for size in (1, 3, 25):
        parts = [randomness.steady(function, x[start : start + size]) for start in range(0, 997, size)]
        np.testing.assert_array_equal(tf.concat(parts, 0), among)
