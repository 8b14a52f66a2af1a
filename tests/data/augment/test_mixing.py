import numpy as np
import pytest
import rounding
import tensorflow as tf
from scipy import stats

from zoo.data import augment, randomness
from zoo.data.augment import mixing

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(40, 9, 14, 3)).astype(np.float32)
NEIGHBOURS = np.arange(40) ^ 1


def keys(count=40):
    return randomness.example_keys(0, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 8.0])
def test_shares_have_a_beta_distribution(alpha):
    shares = mixing.random_beta(keys(50_000), 0, alpha).numpy()
    assert shares.dtype == np.float32
    # The Kolmogorov-Smirnov statistic, but for the ends, where float32 cannot tell numbers from 0 and 1.
    points = np.linspace(0.001, 0.999, 500)
    found = np.searchsorted(np.sort(shares), points) / 50_000
    assert np.abs(found - stats.beta(alpha, alpha).cdf(points)).max() < 1.63 / np.sqrt(50_000)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_mixup_is_the_weighted_mean_with_the_neighbour():
    mixed, share = mixing.mixup(tf.constant(IMAGES), keys(), 1.0)
    weight = share.numpy().astype(float)[:, None, None, None]
    # Two weights of which one is rounded, two products and a sum.
    atol = rounding.of_a_sum(4) * np.abs(IMAGES).max()
    np.testing.assert_allclose(mixed, weight * IMAGES + (1 - weight) * IMAGES[NEIGHBOURS], rtol=0, atol=atol)
    assert 0.2 < share.numpy().std() < 0.4


def test_cutmix_pastes_a_rectangle_and_weighs_by_its_area():
    mixed, share = (part.numpy() for part in mixing.cutmix(tf.constant(IMAGES), keys(), 1.0))
    pasted = (mixed == IMAGES[NEIGHBOURS]).all(-1)
    np.testing.assert_array_equal(mixed, np.where(pasted[..., None], IMAGES[NEIGHBOURS], IMAGES))
    np.testing.assert_allclose(share, 1 - pasted.mean((1, 2)), atol=1e-6)
    for mask in pasted:
        np.testing.assert_array_equal(mask, mask.any(1)[:, None] & mask.any(0)[None])
    assert len(np.unique(share)) > 20


def test_sides_of_cutmix_follow_the_share():
    """Away from the edges the rectangle has the image's proportions and the area 1 - w, but for rounding."""
    images = tf.zeros([3000, 64, 128, 1]) + tf.cast(tf.range(3000) % 2, tf.float32)[:, None, None, None]
    mixed, _ = mixing.cutmix(images, keys(3000), 1.0)
    pasted = (mixed != images).numpy()[..., 0]
    inside = ~(pasted[:, 0].any(1) | pasted[:, -1].any(1) | pasted[:, :, 0].any(1) | pasted[:, :, -1].any(1))
    share = mixing.random_beta(keys(3000), 0, 1.0).numpy()
    tall, wide = pasted.any(2).sum(1), pasted.any(1).sum(1)
    inside &= tall > 0
    assert inside.sum() > 300
    assert np.abs(tall - 64 * np.sqrt(1 - share))[inside].max() < 2.01
    assert np.abs(wide - 128 * np.sqrt(1 - share))[inside].max() < 2.01


@pytest.mark.parametrize("text", ["flip,mixup:0.4", "flip,cutmix:1", "mixup:0.4,cutmix:1", "cutmix:1,mixup:0.4"])
def test_any_even_part_gives_the_same(text):
    mix = augment.make_mixing(text)
    batch_keys = tf.zeros([40], tf.uint64)
    together, shares = mix(tf.constant(IMAGES), keys(), batch_keys)
    for start, stop in ((0, 2), (10, 20), (20, 40)):
        part, part_shares = tf.function(mix)(
            tf.constant(IMAGES[start:stop]), keys()[start:stop], batch_keys[start:stop]
        )
        np.testing.assert_array_equal(part, together[start:stop])
        np.testing.assert_array_equal(part_shares, shares[start:stop])


def test_by_turns_each_batch_is_mixed_in_one_way_and_in_both_as_often():
    """Whatever batches stand side by side, of one image size or none at all of a kind."""
    steps = 2000
    batch_keys = randomness.batch_keys(5, tf.range(steps, dtype=tf.int64))
    rows = tf.repeat(batch_keys, 2)
    ways = [lambda images, keys, way=way: (images + way, tf.fill(tf.shape(keys), float(way))) for way in (0, 1)]
    images = tf.zeros([2 * steps, 2, 2, 1])
    mixed, shares = tf.function(mixing.by_turns, autograph=False)(ways, images, keys(2 * steps), rows)
    assert mixed.shape == images.shape
    np.testing.assert_array_equal(mixed, np.broadcast_to(shares[:, None, None, None], images.shape))
    by_batch = shares.numpy().reshape(steps, 2)
    np.testing.assert_array_equal(by_batch[:, 0], by_batch[:, 1])
    # Five deviations of the number of heads.
    assert abs(by_batch[:, 0].sum() - steps / 2) < 5 * np.sqrt(steps / 4)
    other_seed = mixing.by_turns(
        ways, images, keys(2 * steps), tf.repeat(randomness.batch_keys(6, tf.range(steps, dtype=tf.int64)), 2)
    )
    assert 0.4 < (other_seed[1].numpy() != shares.numpy()).mean() < 0.6


def test_by_turns_a_single_batch_is_a_whole_number_of_neighbours():
    for seed in range(4):
        batch_keys = tf.fill([40], randomness.batch_keys(seed, tf.constant(0, tf.int64)))
        mixed, shares = augment.make_mixing("mixup:0.4,cutmix:1")(tf.constant(IMAGES), keys(), batch_keys)
        alone = [mixing.mixup(tf.constant(IMAGES), randomness.derive(keys(), 0), 0.4)]
        alone += [mixing.cutmix(tf.constant(IMAGES), randomness.derive(keys(), 2), 1.0)]
        same = [np.array_equal(mixed, images) and np.array_equal(shares, share) for images, share in alone]
        assert sum(same) == 1
