"""What a batch holds, put together by hand from the split's arrays."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import augment
from zoo.data.batches import FixedPairs, Pairs, Singles, TripletBatches
from zoo.data.pairs import PairList, PartnerDraw
from zoo.data.randomness import example_keys
from zoo.data.sources.example_source import InMemorySource
from zoo.data.transform import ImageTransform

SHAPE = (6, 6, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), dtype=np.uint8)
LETTER = np.arange(30) % 5
SOURCE = InMemorySource(
    {"image": IMAGES, "letter": LETTER, "angle": np.linspace(0, 1, 30, dtype="float32"), "unused": np.zeros(30)},
    name="made",
)
DRAW = PartnerDraw(LETTER, "made")
PIXELS = ImageTransform()  # leaves the pixels as they are
INDICES = np.array([3, 29, 0, 0, 17, 8, 22, 11])


def keys(indices=INDICES, epoch=2):
    return example_keys(7, tf.constant(epoch, tf.int64), tf.constant(indices, tf.int64))


def train(batches, indices=INDICES, offsets=None, epoch=2):
    offsets = np.arange(len(indices)) if offsets is None else offsets
    batch_keys = tf.zeros(len(indices), tf.uint64)
    batch = batches.train(
        tf.constant(indices, tf.int64), keys(indices, epoch), tf.constant(offsets, tf.int64), batch_keys
    )
    return {name: value.numpy() for name, value in batch.items()}


def pixels(images):
    return images.astype("float32")


def which(images):
    """The index of each of these images in the split."""
    return [next(i for i, image in enumerate(IMAGES) if np.array_equal(image, found)) for found in images]


def test_singles_hold_the_image_and_what_is_named():
    batch = train(Singles(SOURCE, PIXELS, SHAPE, ["letter", "angle"]))
    assert batch.keys() == {"image", "letter", "angle"}
    for name, expected in (("image", IMAGES), ("letter", LETTER), ("angle", SOURCE.arrays["angle"])):
        np.testing.assert_array_equal(batch[name], expected[INDICES])
    assert batch["image"].dtype == "uint8"


def test_singles_are_augmented_in_training_and_not_in_evaluation():
    singles = Singles(SOURCE, ImageTransform("pad_crop:2,flip"), SHAPE, ["letter"])
    expected = augment.make_augmentation("pad_crop:2,flip")(tf.constant(IMAGES[INDICES]), keys()).numpy()
    np.testing.assert_array_equal(train(singles)["image"], expected)
    evaluated = singles.evaluate(tf.constant(INDICES, tf.int64))
    assert evaluated.keys() == {"image", "letter"}
    np.testing.assert_array_equal(evaluated["image"], IMAGES[INDICES])
    np.testing.assert_array_equal(evaluated["letter"], LETTER[INDICES])


@pytest.mark.parametrize("mixing", ["mixup:0.4", "cutmix:1"])
def test_mixed_images_come_with_both_labels_and_their_shares(mixing):
    singles = Singles(SOURCE, ImageTransform(mixing), SHAPE, ["letter", "angle"])
    batch = train(singles)
    assert batch.keys() == {"image", "letter", "angle", "own_share", "mixed/letter", "mixed/angle"}
    neighbours = INDICES.reshape(-1, 2)[:, ::-1].ravel()
    np.testing.assert_array_equal(batch["letter"], LETTER[INDICES])
    np.testing.assert_array_equal(batch["mixed/letter"], LETTER[neighbours])
    np.testing.assert_array_equal(batch["mixed/angle"], SOURCE.arrays["angle"][neighbours])
    own, other, share = pixels(IMAGES[INDICES]), pixels(IMAGES[neighbours]), batch["own_share"][:, None, None, None]
    assert ((share >= 0) & (share <= 1)).all()
    assert len(np.unique(share)) > 4
    if mixing.startswith("mixup"):
        np.testing.assert_allclose(batch["image"], share * own + (1 - share) * other, atol=1e-3)
    else:
        assert ((batch["image"] == own) | (batch["image"] == other)).all()
        # Of the pixels in which the two differ, as many are the neighbour's as the share says of all.
        for image, one, two, part in zip(batch["image"], own, other, batch["own_share"], strict=True):
            taken = (image != one).sum()
            assert taken <= round((1 - part) * 36) <= taken + (one == two).sum()
    evaluated = singles.evaluate(tf.constant(INDICES, tf.int64))
    assert evaluated.keys() == {"image", "letter", "angle"}
    np.testing.assert_array_equal(evaluated["image"], own)


def test_mixing_stays_within_an_even_share():
    singles = Singles(SOURCE, ImageTransform("flip,mixup:0.4"), SHAPE, ["letter"])
    whole, parts = train(singles), [train(singles, part) for part in INDICES.reshape(2, 4)]
    for name, value in whole.items():
        np.testing.assert_array_equal(value, np.concatenate([part[name] for part in parts]), err_msg=name)


def test_pairs_are_alike_at_even_places_of_the_global_batch():
    offsets = np.array([4, 5, 6, 7, 0, 2, 1, 3])
    batch = train(Pairs(SOURCE, PIXELS, SHAPE, DRAW), offsets=offsets)
    assert batch.keys() == {"left", "right", "same"}
    assert batch["same"].tolist() == [1, 0, 1, 0, 1, 1, 0, 0]
    assert batch["same"].dtype == "int32"
    np.testing.assert_array_equal(batch["left"], IMAGES[INDICES])
    right = np.array(which(batch["right"]))
    np.testing.assert_array_equal(LETTER[right] == LETTER[INDICES], batch["same"])
    assert (right != INDICES).all()


def test_triplets_are_of_the_anchors_class_and_of_another():
    batch = train(TripletBatches(SOURCE, PIXELS, SHAPE, DRAW, "letter"))
    assert batch.keys() == {"anchor", "positive", "negative", "anchor_label", "negative_label"}
    np.testing.assert_array_equal(batch["anchor"], IMAGES[INDICES])
    positive, negative = np.array(which(batch["positive"])), np.array(which(batch["negative"]))
    assert (positive != INDICES).all()
    np.testing.assert_array_equal(LETTER[positive], LETTER[INDICES])
    assert (LETTER[negative] != LETTER[INDICES]).all()
    np.testing.assert_array_equal(batch["anchor_label"], LETTER[INDICES])
    np.testing.assert_array_equal(batch["negative_label"], LETTER[negative])


@pytest.mark.parametrize("make", [Pairs, lambda *args: TripletBatches(*args, "letter")], ids=["pairs", "triplets"])
def test_partners_depend_on_example_and_epoch_and_not_on_the_batch(make):
    batches = make(SOURCE, ImageTransform("pad_crop:2,flip"), SHAPE, DRAW)
    whole = train(batches)
    for place in (0, 3, 7):
        alone = train(batches, INDICES[[place]], offsets=np.array([place]))
        for name, value in whole.items():
            np.testing.assert_array_equal(value[[place]], alone[name], err_msg=name)
    assert any(not np.array_equal(value, train(batches, epoch=3)[name]) for name, value in whole.items())


@pytest.mark.parametrize("names", [("left", "right"), ("anchor", "positive", "negative")], ids=["pairs", "triplets"])
def test_the_images_of_an_example_are_augmented_each_in_its_own_way(names):
    same_everywhere = InMemorySource({"image": np.repeat(IMAGES[:1], 30, 0), "letter": LETTER}, name="made")
    transform = ImageTransform("pad_crop:2,flip")
    arguments = (same_everywhere, transform, SHAPE, DRAW)
    batches = Pairs(*arguments) if len(names) == 2 else TripletBatches(*arguments, "letter")
    batch = train(batches, np.tile(np.arange(30), 40)[:1000], epoch=np.repeat(np.arange(40), 30)[:1000])
    expected = augment.make_augmentation("pad_crop:2,flip")(
        tf.constant(np.repeat(IMAGES[:1], 30, 0)), keys(np.arange(30), np.zeros(30, int))
    )
    np.testing.assert_array_equal(batch[names[0]][:30], expected)
    # 25 places, two sides: by chance one pair in fifty looks the same.
    for i, name in enumerate(names):
        for other in names[:i]:
            equal = (batch[name] == batch[other]).all((1, 2, 3)).sum()
            assert 5 <= equal <= 40, (name, other)


def test_lists_of_pairs_come_one_behind_the_other():
    one = PairList(np.array([0, 1, 2]), np.array([5, 2, 2]), np.array([True, False, True]))
    two = PairList(np.array([9, 9]), np.array([4, 3]), np.array([True, False]))
    batches = FixedPairs(SOURCE, ImageTransform("flip"), SHAPE, [one, two])
    assert (batches.num_examples, batches.image_names, batches.example_size) == (5, ("left", "right"), 72)
    batch = batches.evaluate(tf.constant([4, 0, 3, 3], tf.int64))
    np.testing.assert_array_equal(batch["left"], IMAGES[[9, 0, 9, 9]])
    np.testing.assert_array_equal(batch["right"], IMAGES[[3, 5, 4, 4]])
    assert batch["same"].numpy().tolist() == [0, 1, 1, 1]
    assert batch["same"].dtype == tf.int32


@pytest.mark.parametrize(
    ("batches", "images"),
    [
        (Singles(SOURCE, PIXELS, SHAPE, []), 1),
        (Pairs(SOURCE, PIXELS, SHAPE, DRAW), 2),
        (TripletBatches(SOURCE, PIXELS, SHAPE, DRAW, "letter"), 3),
    ],
    ids=["singles", "pairs", "triplets"],
)
def test_an_epoch_visits_every_example_once(batches, images):
    assert (batches.num_examples, len(batches.image_names), batches.example_size) == (30, images, images * 36)
