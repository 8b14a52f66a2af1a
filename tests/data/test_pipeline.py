"""The pipeline is a pure function of the step: nothing else decides what a batch holds."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import augment, pipeline, randomness
from zoo.data.sources import InMemorySource

RNG = np.random.default_rng(0)
EXAMPLES, BATCH = 50, 8  # 6 steps an epoch, 2 examples left over
SOURCE = InMemorySource(
    {"image": RNG.integers(0, 256, (EXAMPLES, 6, 6, 2), dtype=np.uint8), "label": np.arange(EXAMPLES)}, name="made"
)
TRANSFORM = pipeline.make_transform(SOURCE, "standardize", augmentation="pad_crop:2,flip")


def batches(longest=4, total=18, interval=6, first_step=0, replicas=1, seed=3, transform=TRANSFORM):
    """The batches step by step, whatever the blocks: a list of (image, label)."""
    boundaries = pipeline.block_boundaries(total, interval, longest)
    blocks = pipeline.training_blocks(
        SOURCE,
        transform,
        batch_size=BATCH,
        seed=seed,
        boundaries=boundaries,
        first_step=first_step,
        replicas=replicas,
    )
    blocks = list(blocks.as_numpy_iterator())
    groups = [blocks[i : i + replicas] for i in range(0, len(blocks), replicas)]
    joined = [{key: np.concatenate([part[key] for part in group], axis=1) for key in group[0]} for group in groups]
    return [(image, label) for block in joined for image, label in zip(block["image"], block["label"], strict=True)]


def assert_same(one, other):
    assert len(one) == len(other)
    for (image, label), (other_image, other_label) in zip(one, other, strict=True):
        np.testing.assert_array_equal(label, other_label)
        np.testing.assert_array_equal(image, other_image)


def test_every_epoch_is_another_permutation():
    labels = [label for _, label in batches()]
    epochs = [np.concatenate(labels[i : i + 6]) for i in (0, 6, 12)]
    for epoch in epochs:
        assert len(set(epoch)) == 48
        assert set(epoch) <= set(range(EXAMPLES))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])


@pytest.mark.parametrize("first_step", [1, 4, 5, 6, 11, 17, 18])
def test_starts_at_any_step(first_step):
    assert_same(batches(first_step=first_step), batches()[first_step:])


@pytest.mark.parametrize("longest", [1, 2, 5, 6, 100])
def test_blocks_do_not_matter(longest):
    assert_same(batches(longest=longest), batches())


@pytest.mark.parametrize("interval", [6, 12, 18])
def test_blocks_may_cross_epochs(interval):
    assert_same(batches(interval=interval, longest=100), batches())


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_share_the_same_batches(replicas):
    assert_same(batches(replicas=replicas), batches())


def test_seed_decides_order_and_augmentation():
    (_image, label), (_other_image, other_label) = batches(seed=0)[0], batches(seed=1)[0]
    assert not np.array_equal(label, other_label)
    assert_same(batches(seed=1), batches(seed=1))
    plain = pipeline.make_transform(SOURCE, "standardize")
    np.testing.assert_array_equal(batches(transform=plain)[0][1], batches()[0][1])


def test_images_are_augmented_by_seed_epoch_and_index_and_then_normalised():
    step = 7  # of epoch 1
    image, label = batches()[step]
    keys = randomness.example_keys(3, tf.fill([BATCH], tf.constant(1, tf.int64)), label)
    raw = augment.make_augmentation("pad_crop:2,flip")(SOURCE.arrays["image"][label], keys).numpy()
    pixels = SOURCE.arrays["image"].astype("float64")
    expected = (raw - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("normalize", "low", "high"), [("unit", 0, 1), ("signed", -1, 1)]
)  # fmt: skip
def test_fixed_normalisations(normalize, low, high):
    extremes = InMemorySource({"image": np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)}, name="made")
    transform = pipeline.make_transform(extremes, normalize)
    np.testing.assert_allclose(transform(tf.constant(extremes.arrays["image"]), None)[:, 0, 0, 0], [low, high])


def test_a_channel_that_never_changes_survives_standardizing():
    flat = InMemorySource({"image": np.full((4, 2, 2, 1), 7, np.uint8)}, name="made")
    images = pipeline.make_transform(flat, "standardize")(tf.constant(flat.arrays["image"]), None)
    np.testing.assert_array_equal(images, np.zeros((4, 2, 2, 1)))


def test_resize_is_bilinear():
    transform = pipeline.make_transform(SOURCE, "unit", image_size=12)
    images = transform(tf.constant(SOURCE.arrays["image"][:3]), None)
    assert transform.output_shape((6, 6, 2)) == (12, 12, 2)
    assert images.shape == (3, 12, 12, 2)
    # Half-pixel centres: the second output pixel lies a quarter of the way from the first input pixel.
    first, second = SOURCE.arrays["image"][0, 0, 0:2, 0] / 255
    np.testing.assert_allclose(images[0, 0, 1, 0], 0.75 * first + 0.25 * second, rtol=1e-5)


@pytest.mark.parametrize(
    ("total", "interval", "longest", "expected"),
    [
        (10, 5, 5, [0, 5, 10]),
        (10, 5, 3, [0, 3, 5, 8, 10]),
        (10, 5, 100, [0, 5, 10]),
        (9, 6, 4, [0, 3, 6, 9]),
        (3, 10, 100, [0, 3]),
        (3, 10**15, 2, [0, 1, 2, 3]),
        (44, 44, 10, [0, 9, 18, 27, 36, 44]),
        (220, 220, 100, [0, 55, 110, 165, 220]),
    ],
)
def test_block_boundaries(total, interval, longest, expected):
    assert pipeline.block_boundaries(total, interval, longest).tolist() == expected


def test_longest_block_is_bounded_by_memory_and_count():
    assert pipeline.longest_block(4 * 32 * 32 * 3, 128) == 10
    assert pipeline.longest_block(4 * 224 * 224 * 3, 256) == 1
    assert pipeline.longest_block(4, 1) == pipeline.MAX_BLOCK_STEPS
    assert pipeline.longest_block(4, 1, 1000, 7) == 7


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("batch_size", [8, 50, 64])
def test_evaluation_counts_every_example_once(batch_size, replicas):
    blocks = pipeline.evaluation_blocks(SOURCE, TRANSFORM, batch_size=batch_size, replicas=replicas)
    seen = []
    for block in blocks.as_numpy_iterator():
        assert block["label"].shape[1] == batch_size // replicas
        seen += block["label"][block["weight"] == 1].tolist()
        assert set(np.unique(block["weight"])) <= {0.0, 1.0}
    assert sorted(seen) == list(range(EXAMPLES))


def test_evaluation_images_are_not_augmented():
    (block,) = pipeline.evaluation_blocks(SOURCE, TRANSFORM, batch_size=50).as_numpy_iterator()
    expected = pipeline.make_transform(SOURCE, "standardize")(tf.constant(SOURCE.arrays["image"]), None)
    np.testing.assert_array_equal(block["image"][0], expected)
