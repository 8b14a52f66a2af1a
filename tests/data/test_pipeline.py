"""The pipeline is a pure function of the step: nothing else decides what a batch holds."""

import functools
import itertools
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import augment, pipeline, randomness
from zoo.data.batches import FixedPairs, Pairs, Singles, TripletBatches
from zoo.data.pairs import PartnerDraw, fixed_pairs
from zoo.data.pipeline import BlockPlan
from zoo.data.sources.example_source import Feature, InMemorySource
from zoo.data.transform import ImageTransform

RNG = np.random.default_rng(0)
EXAMPLES, BATCH = 50, 8  # 6 steps an epoch, 2 examples left over
SHAPE = (6, 6, 3)
SOURCE = InMemorySource(
    {
        "image": RNG.integers(0, 256, (EXAMPLES, *SHAPE), dtype=np.uint8),
        "label": np.arange(EXAMPLES),
        "kind": np.arange(EXAMPLES) % 5,
    },
    name="made",
)
DRAW = PartnerDraw(SOURCE.arrays["kind"], "made")
AUGMENTATION = "pad_crop:2,flip"


def singles(augmentation=AUGMENTATION):
    return Singles(SOURCE, ImageTransform(augmentation), SHAPE, ["label", "kind"])


def batches_of(kind):
    transform = ImageTransform(AUGMENTATION)
    if kind == "pairs":
        return Pairs(SOURCE, transform, SHAPE, DRAW)
    if kind == "triplets":
        return TripletBatches(SOURCE, transform, SHAPE, DRAW, "kind")
    return singles(AUGMENTATION if kind == "singles" else f"{AUGMENTATION},{kind}:0.5")


BOTH = "mixup:0.5,cutmix"
KINDS = ["singles", "pairs", "triplets", "mixup", "cutmix", BOTH]


def steps(batches, longest=4, total=18, interval=6, first_step=0, replicas=1, seed=3, threads=None):
    """The batches step by step, whatever the blocks: a list of dictionaries."""
    blocks = pipeline.training_blocks(
        batches,
        batch_size=BATCH,
        seed=seed,
        plan=BlockPlan.of(total, interval, longest),
        first_step=first_step,
        replicas=replicas,
    )
    if threads:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        blocks = blocks.with_options(options)
    blocks = list(blocks.as_numpy_iterator())
    groups = [blocks[i : i + replicas] for i in range(0, len(blocks), replicas)]
    joined = [{name: np.concatenate([part[name] for part in group], axis=1) for name in group[0]} for group in groups]
    return [{name: value[k] for name, value in block.items()} for block in joined for k in range(_length(block))]


def _length(block):
    (length,) = {len(value) for value in block.values()}
    return length


@functools.cache
def plainly(kind):
    """The batches of a run from its start, on one replica."""
    return steps(batches_of(kind))


# A dataset takes half a second to trace, so the default run has each thing once, and the slow one everything.


def mostly_slow(values, quick):
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]


def assert_same(one, other):
    assert len(one) == len(other)
    for batch, other_batch in zip(one, other, strict=True):
        assert batch.keys() == other_batch.keys()
        for name, value in batch.items():
            np.testing.assert_array_equal(value, other_batch[name], err_msg=name)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("kind", mostly_slow(KINDS, quick=["singles", BOTH]))
def test_large_images_come_in_pieces_and_are_the_same(monkeypatch, kind, replicas):
    monkeypatch.setattr(pipeline, "MAX_PIECE_SIZE", 1)
    batches = batches_of(kind)
    assert pipeline._pieces(batches, BATCH // replicas) == BATCH // replicas // 2
    assert_same(steps(batches, longest=1, replicas=replicas, first_step=5), plainly(kind)[5:])
    evaluation = [
        list(pipeline.evaluation_blocks(batches, batch_size=64, replicas=replicas).as_numpy_iterator())
        for batches in (batches_of("singles"),)
    ]
    monkeypatch.undo()
    whole = pipeline.evaluation_blocks(batches_of("singles"), batch_size=64, replicas=replicas).as_numpy_iterator()
    assert_same(evaluation[0], list(whole))


def test_every_epoch_is_another_permutation():
    labels = [batch["label"] for batch in plainly("singles")]
    epochs = [np.concatenate(labels[i : i + 6]) for i in (0, 6, 12)]
    for epoch in epochs:
        assert len(set(epoch)) == 48
        assert set(epoch) <= set(range(EXAMPLES))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])


@pytest.mark.parametrize("kind", mostly_slow(KINDS, quick=[kind for kind in KINDS if kind != "cutmix"]))
def test_the_kinds_hold_what_they_should(kind):
    image = ((BATCH, *SHAPE), "uint8")
    expected = {
        "singles": {"image": image, "label": ((BATCH,), "int64"), "kind": ((BATCH,), "int64")},
        "pairs": {"left": image, "right": image, "same": ((BATCH,), "int32")},
        "triplets": {
            **dict.fromkeys(("anchor", "positive", "negative"), image),
            **dict.fromkeys(("anchor_label", "negative_label"), ((BATCH,), "int64")),
        },
    }
    mixed = {
        **expected["singles"],
        "image": ((BATCH, *SHAPE), "float32"),
        "own_share": ((BATCH,), "float32"),
        "mixed/label": ((BATCH,), "int64"),
        "mixed/kind": ((BATCH,), "int64"),
    }
    for batch in plainly(kind):
        found = {name: (value.shape, value.dtype.name) for name, value in batch.items()}
        assert found == expected.get(kind, mixed)


@pytest.mark.parametrize("first_step", mostly_slow([1, 4, 5, 6, 11, 17, 18], quick=[1, 18]))
def test_starts_at_any_step(first_step):
    assert_same(steps(singles(), first_step=first_step), plainly("singles")[first_step:])


@pytest.mark.parametrize("longest", mostly_slow([1, 2, 5, 6, 100], quick=[5]))
def test_blocks_do_not_matter(longest):
    assert_same(steps(singles(), longest=longest), plainly("singles"))


@pytest.mark.parametrize("interval", mostly_slow([6, 12, 18], quick=[12]))
def test_blocks_may_cross_epochs(interval):
    assert_same(steps(singles(), interval=interval, longest=100), plainly("singles"))


@pytest.mark.parametrize(("replicas", "threads"), [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_neither_replicas_nor_threads_matter(kind, replicas, threads):
    assert_same(steps(batches_of(kind), replicas=replicas, threads=threads), plainly(kind))


@pytest.mark.parametrize(
    ("kind", "replicas", "threads"),
    [("singles", 4, 2), ("pairs", 4, 1), ("triplets", 2, 2), ("cutmix", 2, 1), (BOTH, 4, 2)],
)
def test_nothing_but_the_step_matters(kind, replicas, threads):
    """All at once: other replicas, threads and blocks, and a start in the middle of a block."""
    found = steps(batches_of(kind), replicas=replicas, threads=threads, longest=5, first_step=7)
    assert_same(found, plainly(kind)[7:])


@pytest.mark.parametrize(("replicas", "longest"), [(4, 3), (2, 1)])
def test_processes_make_their_own_shares_of_what_one_makes(replicas, longest, monkeypatch):
    """Whole batches and those that come in pieces, in training and evaluation."""
    if longest == 1:
        monkeypatch.setattr(pipeline, "MAX_PIECE_SIZE", 1)
        assert pipeline._pieces(singles(), BATCH // replicas) == 2
    training = {"batch_size": BATCH, "seed": 3, "plan": BlockPlan.of(12, 6, longest), "first_step": 4}
    for make, options in ((pipeline.training_blocks, training), (pipeline.evaluation_blocks, {"batch_size": BATCH})):
        whole = list(make(singles(), replicas=replicas, **options).as_numpy_iterator())
        for local in (range(replicas // 2), range(replicas // 2, replicas)):
            own = list(make(singles(), replicas=replicas, local=local, **options).as_numpy_iterator())
            assert_same(own, [block for number, block in enumerate(whole) if number % replicas in local])


def test_seed_decides_order_and_augmentation():
    other = steps(singles(), seed=4, total=2)[0]
    assert not np.array_equal(other["label"], plainly("singles")[0]["label"])
    # The augmentation has no say in the order.
    plain = steps(singles(""), total=2)[0]
    np.testing.assert_array_equal(plain["label"], plainly("singles")[0]["label"])
    assert not np.array_equal(plain["image"], plainly("singles")[0]["image"])


@pytest.mark.parametrize("kind", mostly_slow(["pairs", "triplets"], quick=["pairs"]))
def test_seed_and_epoch_decide_the_partners(kind):
    name = {"pairs": "right", "triplets": "negative"}[kind]
    other = steps(batches_of(kind), seed=4, total=2)[0]
    assert not np.array_equal(other[name], plainly(kind)[0][name])
    assert not np.array_equal(plainly(kind)[6][name], plainly(kind)[0][name])


def test_images_are_augmented_by_seed_epoch_and_index():
    batch = plainly("singles")[7]  # of epoch 1
    keys = randomness.example_keys(3, tf.fill([BATCH], tf.constant(1, tf.int64)), batch["label"])
    pixels = tf.constant(SOURCE.arrays["image"][batch["label"]])
    np.testing.assert_array_equal(batch["image"], augment.make_augmentation(AUGMENTATION)(pixels, keys))


def test_of_mixup_and_cutmix_each_batch_takes_one():
    """What it takes does what it does alone at its place in the text."""
    other_order = steps(batches_of("cutmix:0.5,mixup"))
    mixed_up = []
    for number, batch in enumerate(plainly(BOTH)):
        is_mixup = np.array_equal(batch["image"], plainly("mixup")[number]["image"])
        assert is_mixup == np.array_equal(other_order[number]["image"], plainly("cutmix")[number]["image"])
        cut = batch if not is_mixup else other_order[number]
        own = plainly("singles")[number]["image"]
        neighbours = own[np.arange(BATCH) ^ 1]
        assert ((cut["image"] == own) | (cut["image"] == neighbours)).all()
        assert not np.array_equal(cut["own_share"], plainly("mixup")[number]["own_share"])
        mixed_up.append(is_mixup)
    # 18 batches: all alike would be a chance of one in a hundred thousand.
    assert 0 < sum(mixed_up) < len(mixed_up)


def test_half_of_the_pairs_of_every_batch_are_alike():
    for batch in plainly("pairs"):
        assert batch["same"].tolist() == [1, 0] * (BATCH // 2)


# Where blocks end.


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
def test_where_blocks_end(total, interval, longest, expected):
    assert [0, *BlockPlan.of(total, interval, longest).ends()] == expected


def boundaries(total, interval, longest):
    """By going through the steps: as few blocks as may be, equal ones where that takes at most twice as many."""
    interval = min(interval, total)
    fewest = next(count for count in itertools.count(1) if count * longest >= interval)
    shortest = next(length for length in itertools.count(1) if length * fewest >= interval)
    equal = max(length for length in range(1, min(longest, interval) + 1) if interval % length == 0)
    length = equal if 2 * equal >= shortest else shortest
    ends = [0]
    for step in range(1, total + 1):
        if step == total or step % interval == 0 or step - ends[-1] == length:
            ends.append(step)
    return ends


def test_where_blocks_end_by_going_through_the_steps():
    for total, interval, longest in itertools.product(
        range(1, 31), (1, 2, 3, 5, 7, 12, 13, 30, 31), (1, 2, 3, 5, 8, 40)
    ):
        case = (total, interval, longest)
        plan, expected = BlockPlan.of(*case), boundaries(*case)
        assert [0, *plan.ends()] == expected, case
        assert plan.num_blocks == len(expected) - 1, case
        pairs = list(itertools.pairwise(expected))
        assert [plan.bounds(number) for number in range(plan.num_blocks)] == pairs, case
        blocks = [number for number, (start, end) in enumerate(pairs) for _ in range(start, end)]
        assert [plan.block_of(step) for step in range(total + 1)] == [*blocks, len(pairs)], case
        for first_step in (1, total // 2, total):
            # From the block on that holds the step.
            assert list(plan.ends(first_step)) == [end for end in expected[1:] if end > first_step], case


@pytest.mark.parametrize("case", [(44, 44, 10), (30, 13, 5), (29, 12, 8), (3, 1, 1)])
def test_bounds_are_the_same_in_a_graph(case):
    plan = BlockPlan.of(*case)
    starts, ends = plan.bounds(tf.range(plan.num_blocks, dtype=tf.int64))
    assert starts.dtype == ends.dtype == tf.int64
    assert list(zip(starts.numpy(), ends.numpy(), strict=True)) == [plan.bounds(n) for n in range(plan.num_blocks)]


def test_longest_block_is_bounded_by_memory_and_count():
    def longest(example_size, batch_size, *limits):
        return pipeline.longest_block(SimpleNamespace(example_size=example_size), batch_size, *limits)

    assert longest(32 * 32 * 3, 128) == 10
    assert longest(2 * 32 * 32 * 3, 128) == 5
    assert longest(224 * 224 * 3, 256) == 1
    assert longest(1, 1) == pipeline.MAX_BLOCK_STEPS
    assert longest(1, 1, 1000, 7) == 7


# Long runs over large sets.


class Numbers:
    """As many examples as one likes: the image of each is its index, in four bytes."""

    name, version, fingerprint, default_label = "numbers", "", "", "label"
    features = {"image": Feature((2, 2, 1), "uint8"), "label": Feature((), "int64")}  # noqa: RUF012

    def __init__(self, num_examples):
        self.num_examples = num_examples

    def fetch(self, indices):
        digits = tf.bitwise.right_shift(indices[:, None], tf.constant([0, 8, 16, 24], tf.int64))
        return {"image": tf.reshape(tf.cast(digits % 256, tf.uint8), [-1, 2, 2, 1]), "label": indices}


def far_into(num_examples, batch_size, epochs, first_step):
    source = Numbers(num_examples)
    batches = Singles(source, ImageTransform(), (2, 2, 1), ["label"])
    per_epoch = num_examples // batch_size
    plan = BlockPlan.of(epochs * per_epoch, per_epoch, pipeline.longest_block(batches, batch_size))
    blocks = pipeline.training_blocks(batches, batch_size=batch_size, seed=0, plan=plan, first_step=first_step)
    return plan, next(iter(blocks.as_numpy_iterator()))


def test_starts_at_step_1_000_000_of_imagenet():
    size, batch_size = 1_281_167, 256
    tracemalloc.start()
    plan, block = far_into(size, batch_size, 200, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # One number for each of the steps would take 8 MB.
    assert plan.total_steps == 1_000_800
    assert peak < 4e6
    epoch, step = divmod(1_000_000, size // batch_size)
    positions = tf.range(step * batch_size, (step + 1) * batch_size, dtype=tf.int64)
    expected = randomness.permuted(positions[None], tf.constant([epoch], tf.int64), seed=0, size=size)[0]
    np.testing.assert_array_equal(block["label"][0], expected)
    pixels = block["image"].astype("int64").reshape(-1, 4)
    np.testing.assert_array_equal(pixels @ [1, 256, 65536, 2**24], block["label"].ravel())
    assert 1_000_000 + len(block["label"]) == next(plan.ends(1_000_000))


def test_nothing_is_as_long_as_the_run_or_the_split():
    # Ten thousand million examples and 10**14 steps would fit nowhere.
    size, batch_size = 10**10, 100
    plan, block = far_into(size, batch_size, 10**6, 10**14 - 1)
    assert plan.total_steps == 10**14
    assert block["label"].shape == (1, batch_size)
    assert len(np.unique(block["label"])) == batch_size
    assert (block["label"] < size).all()


# Evaluation.


@pytest.mark.parametrize(("batch_size", "replicas"), [(8, 2), (50, 1), (64, 2)])
def test_evaluation_counts_every_example_once_and_in_order(batch_size, replicas):
    blocks = list(pipeline.evaluation_blocks(singles(), batch_size=batch_size, replicas=replicas).as_numpy_iterator())
    seen = []
    for group in zip(*(blocks[replica::replicas] for replica in range(replicas)), strict=True):
        labels, weight = (np.concatenate([part[name] for part in group], axis=1) for name in ("label", "weight"))
        assert all(part["label"].shape[1] == batch_size // replicas for part in group)
        assert set(np.unique(weight)) <= {0.0, 1.0}
        seen += labels[weight == 1].tolist()
    assert seen == list(range(EXAMPLES))


@pytest.mark.parametrize(
    ("num_examples", "side", "batch_size", "expected"),
    [
        (360, 8, 32, 12 * 32),  # all twelve batches at once
        (20 * 32, 8, 32, 10 * 32),  # two steps of ten batches rather than of sixteen and four
        (10_000, 8, 32, 16 * 32),
        (10_000, 28, 128, 128),
        (10_000, 224, 1, 1),
        (5, 8, 32, 32),
    ],
)
def test_evaluation_joins_batches_of_tiny_images(num_examples, side, batch_size, expected):
    batches = SimpleNamespace(num_examples=num_examples, example_size=side**2)
    assert pipeline.evaluation_batch_size(batches, batch_size) == expected


def test_evaluation_images_are_not_augmented():
    (block,) = pipeline.evaluation_blocks(singles(), batch_size=50).as_numpy_iterator()
    np.testing.assert_array_equal(block["image"][0], SOURCE.arrays["image"])


@pytest.mark.parametrize("batch_size", [7, 60])
def test_evaluation_of_a_list_of_pairs(batch_size):
    pairs = fixed_pairs(SOURCE.arrays["kind"], "made")
    transform = ImageTransform(AUGMENTATION)
    batches = FixedPairs(SOURCE, transform, SHAPE, [pairs])
    blocks = list(pipeline.evaluation_blocks(batches, batch_size=batch_size).as_numpy_iterator())
    whole = {
        name: np.concatenate([block[name].reshape(-1, *block[name].shape[2:]) for block in blocks])
        for name in blocks[0]
    }
    counts = whole["weight"] == 1
    images = SOURCE.arrays["image"]
    np.testing.assert_array_equal(whole["left"][counts], images[pairs.left])
    np.testing.assert_array_equal(whole["right"][counts], images[pairs.right])
    np.testing.assert_array_equal(whole["same"][counts], pairs.same)
