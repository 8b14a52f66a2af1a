"""Which examples are compared: against chance where they are drawn, and against the rules of a fixed list."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.pairs import Episodes, PartnerDraw, fixed_pairs, make_episodes, pixel_scores
from zoo.data.randomness import derive

# Classes of 2, 3, 5 and 10 examples, in no order, with labels that are no positions.
LABELS = np.random.default_rng(0).permutation(np.repeat([7, 2, 40, 3], [2, 3, 5, 10]))


def keys(count):
    return derive(tf.constant(99, tf.uint64), tf.range(count, dtype=tf.int64))


def partners(draw, indices, alike, number=0):
    alike = np.broadcast_to(alike, np.shape(indices))
    return draw(tf.constant(indices, tf.int64), tf.constant(alike), keys(len(indices)), number).numpy()


def surprise(counts):
    """By how many standard deviations the chi-squared statistic of equal expectations lies above its mean."""
    freedom = len(counts) - 1
    return (((counts - counts.mean()) ** 2).sum() / counts.mean() - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize("label", [7, 2, 40, 3])
@pytest.mark.parametrize("alike", [True, False])
def test_every_example_that_fits_is_as_likely_as_any_other(label, alike):
    index = np.flatnonzero(label == LABELS)[1]
    drawn = partners(PartnerDraw(LABELS, "made"), np.full(20_000, index), alike)
    fits = (label == LABELS) == alike
    fits[index] = False
    counts = np.bincount(drawn, minlength=len(LABELS))
    assert not counts[~fits].any()
    if fits.sum() > 1:
        assert abs(surprise(counts[fits])) < 4


@pytest.mark.parametrize("alike", [True, False])
def test_partners_are_of_the_class_asked_for_and_never_the_example_itself(alike):
    indices = np.tile(np.arange(len(LABELS)), 50)
    drawn = partners(PartnerDraw(LABELS, "made"), indices, alike)
    assert drawn.dtype == "int64"
    assert (drawn != indices).all()
    assert ((LABELS[drawn] == LABELS[indices]) == alike).all()


def test_a_partner_depends_on_its_own_key_alone():
    draw = PartnerDraw(LABELS, "made")
    indices, alike = np.arange(20), np.arange(20) % 3 == 0
    together = partners(draw, indices, alike)
    reversed_order = draw(indices[::-1], alike[::-1], keys(20)[::-1], 0).numpy()
    np.testing.assert_array_equal(reversed_order[::-1], together)
    for i in range(20):
        alone = draw(tf.constant([i], tf.int64), tf.constant([alike[i]]), keys(20)[i : i + 1], 0)
        assert alone.numpy()[0] == together[i]


def test_draws_of_a_key_are_independent():
    draw = PartnerDraw(np.repeat([0, 1], 6), "made")
    first, second = (partners(draw, np.full(20_000, 3), False, number) - 6 for number in (0, 1))
    assert abs(surprise(np.bincount(first * 6 + second, minlength=36))) < 4


def test_names_may_be_labels():
    draw = PartnerDraw(np.array(["cat", "dog", "cat", "dog"]), "made")
    assert partners(draw, [0, 1, 2, 3], True).tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([4, 4, 4], "label of made has one class only; pairs need at least two"),
        ([1, 1, 5, 2, 2], "label of made has one example only of class 5; pairs need at least two of each"),
    ],
)
def test_what_has_no_pairs(labels, message):
    for make in (PartnerDraw, fixed_pairs):
        with pytest.raises(ValueError, match=message) as error:
            make(np.array(labels), "label of made")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [20, 19])
def test_fixed_pairs_show_every_example_once_and_half_of_them_are_alike(size):
    labels = LABELS[:size]
    pairs = fixed_pairs(labels, "made")
    np.testing.assert_array_equal(pairs.left, np.arange(size))
    assert pairs.same.sum() == (size + 1) // 2
    np.testing.assert_array_equal(labels[pairs.left] == labels[pairs.right], pairs.same)
    assert (pairs.left != pairs.right).all()
    assert pairs.same.dtype == bool


def test_fixed_pairs_are_alike_at_random():
    same = fixed_pairs(np.arange(4000) % 10, "made").same
    assert same.sum() == 2000
    # Neither by place nor by class: counts stay within four standard deviations of the hypergeometric distribution.
    assert abs(same[:2000].sum() - 1000) < 4 * np.sqrt(4000 / 16)
    by_class = np.bincount(np.arange(4000) % 10, same)
    assert (abs(by_class - 200) < 4 * np.sqrt(400 / 4)).all()


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, "int64").tobytes() for a in arrays)).hexdigest()[:16]


def test_fixed_pairs_are_the_same_in_every_process():
    one, other = fixed_pairs(LABELS, "made"), fixed_pairs(LABELS.copy(), "another name")
    np.testing.assert_array_equal(one.right, other.right)
    np.testing.assert_array_equal(one.same, other.same)
    pairs = fixed_pairs(np.arange(300) * 7 % 13, "made")
    # Of the list as it was first made: with another one, published figures could no longer be compared.
    assert digest(pairs.left, pairs.right, pairs.same) == "368d8db5fcda459a"


# Three groups of 25, 22 and 5 classes; 6 examples of each class in 3 views.
GROUP_OF_CLASS = np.repeat([2, 5, 9], [25, 22, 5])
CLASS = np.random.default_rng(1).permutation(np.repeat(np.arange(52), 6))
VIEW = np.random.default_rng(2).integers(0, 3, len(CLASS))
GROUP = GROUP_OF_CLASS[CLASS]


def episodes(labels=CLASS, groups=GROUP, views=VIEW, ways=20, shots=1, count=60):
    return make_episodes(labels, groups, views, ways=ways, shots=shots, count=count, what="one_shot of made")


@pytest.mark.parametrize(("ways", "shots"), [(20, 1), (5, 1), (20, 3), (2, 5)])
def test_an_episode_is_of_different_classes_of_one_group(ways, shots):
    made = episodes(ways=ways, shots=shots)
    assert made.queries.shape == made.answers.shape == (60,)
    assert made.supports.shape == (60, ways, shots)
    assert made.queries.dtype == made.supports.dtype == made.answers.dtype == "int64"
    for query, supports, answer in zip(made.queries, made.supports, made.answers, strict=True):
        classes = CLASS[supports]
        assert (classes == classes[:, :1]).all()
        assert len(set(classes[:, 0])) == ways
        assert len(set(GROUP[supports].ravel())) == 1
        assert classes[answer, 0] == CLASS[query]
        assert query not in supports
        assert len(set(supports.ravel())) == ways * shots


@pytest.mark.parametrize("shots", [1, 3])
def test_supports_are_of_another_view_where_all_classes_of_an_episode_have_enough(shots):
    made = episodes(shots=shots)
    exceptions = 0
    for query, supports in zip(made.queries, made.supports, strict=True):
        others = [((CLASS[support[0]] == CLASS) & (VIEW[query] != VIEW)).sum() for support in supports]
        if min(others) >= shots:
            assert (VIEW[supports] != VIEW[query]).all()
        else:
            exceptions += 1
    # With six examples in three views some classes have too few for three shots, none for one.
    assert (exceptions > 0) == (shots == 3)


def test_without_views_or_groups():
    made = episodes(groups=None, views=None)
    assert len({tuple(np.unique(GROUP[supports])) for supports in made.supports}) > 1
    assert all(query not in supports for query, supports in zip(made.queries, made.supports, strict=True))


def test_episodes_favour_no_group_no_class_and_no_way():
    made = episodes(count=400, ways=5)
    groups = np.bincount(np.searchsorted([2, 5, 9], GROUP[made.queries]))
    ways = np.bincount(made.answers)
    assert len(groups) == 3
    assert len(ways) == 5
    assert abs(surprise(groups)) < 4
    assert abs(surprise(ways)) < 4
    of_first_group = CLASS[made.queries[GROUP[made.queries] == 2]]
    assert abs(surprise(np.bincount(of_first_group, minlength=25))) < 4
    assert len(set(made.queries)) > 150


def test_only_groups_with_enough_classes_with_enough_examples():
    made = episodes(count=30)
    assert set(GROUP[made.queries]) == {2, 5}
    # Four of the 22 classes keep one example.
    few = np.ones(len(CLASS), bool)
    for label in (25, 26, 27, 28):
        few[np.flatnonzero(label == CLASS)[1:]] = False
    made = episodes(CLASS[few], GROUP[few], VIEW[few], count=30)
    assert set(GROUP[few][made.queries]) == {2}


def test_the_list_is_the_same_in_every_process_and_longer_ones_begin_with_it():
    made, longer = episodes(count=20), episodes(count=40)
    for name in ("queries", "supports", "answers"):
        np.testing.assert_array_equal(getattr(made, name), getattr(longer, name)[:20])
    numbers = np.arange(600)
    made = episodes(numbers * 7 % 60, numbers * 7 % 60 // 30, numbers % 4, shots=2, count=20)
    assert digest(made.queries, made.supports, made.answers) == "99a0bcf0fe1d5e73"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 26}, "one_shot of made has no 26 classes of one group with 2 examples each; lower ways"),
        ({"shots": 6}, "one_shot of made has no 20 classes of one group with 7 examples each"),
        ({"groups": None, "ways": 53}, "one_shot of made has no 53 classes"),
    ],
)
def test_what_has_no_episodes(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        episodes(**arguments)
    assert "\n" not in str(error.value)


def test_pairs_of_episodes_come_way_by_way():
    made = episodes(count=7, ways=4, shots=2)
    pairs = made.pairs()
    assert len(pairs.left) == len(pairs.right) == len(pairs.same) == 7 * 4 * 2
    expected = [
        (query, support, way == answer)
        for query, supports, answer in zip(made.queries, made.supports, made.answers, strict=True)
        for way, examples in enumerate(supports)
        for support in examples
    ]
    assert list(zip(pairs.left, pairs.right, pairs.same, strict=True)) == expected
    np.testing.assert_array_equal(CLASS[pairs.left] == CLASS[pairs.right], pairs.same)


def test_images_for_the_distance_of_pixels_are_gathered_by_the_cpu():
    """Wherever the run computes: a GPU would be given the whole split to take a few images of it."""
    devices = []

    class Source:
        def fetch(self, indices):
            devices.append(indices.device.rpartition(":")[2])
            return {"image": tf.cast(tf.reshape(indices, [-1, 1, 1, 1]), tf.uint8)}

    episodes = Episodes(np.array([4]), np.array([[[1], [3]]]), np.array([1]))
    # The second of the tests' two devices stands for a GPU.
    with tf.device("CPU:1"):
        scores = pixel_scores(Source(), episodes)
    assert scores.tolist() == [[[-3.0], [-1.0]]]
    assert devices == ["0"]
