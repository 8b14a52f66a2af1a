"""What TFDS builders may hold beside 8-bit images and class labels: against the arrays that went in."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from tfds_made import draw, pictures

from zoo.config import ExperimentConfig
from zoo.data import images
from zoo.data.randomness import example_keys
from zoo.data.sources import describe_source, load_source
from zoo.data.sources.example_source import Feature, InMemorySource, fetch_examples
from zoo.data.sources.tfds_source import ArrayRecordSource
from zoo.data.transform import Sizing, sized
from zoo.errors import RequestError
from zoo.tasks.known import find_task
from zoo.training.data import open_data
from zoo.training.loop import train_and_evaluate

F = tfds.features
COUNT = 12


def numbered(images, **columns):
    """Examples of images and columns, each with its number."""
    return [
        {"image": image, "number": number, **{name: column[number] for name, column in columns.items()}}
        for number, image in enumerate(images)
    ]


def load(name, folder, by_index=False, **options):
    made = load_source(
        name, options.pop("split", "train"), str(folder), memory_bytes=0 if by_index else 2**20, **options
    )
    assert isinstance(made, ArrayRecordSource if by_index else InMemorySource)
    return made


def pixels(source):
    """The decoded images in the order in which they were made."""
    examples = fetch_examples(sized(source, Sizing(), 2**20), np.arange(source.num_examples))
    return examples["image"][np.argsort(examples["number"])]


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_plain_tensors_of_8_bits(monkeypatch, tmp_path, by_index, channels):
    images = pictures(COUNT, (5, 6, channels))
    features = {"image": F.Tensor(shape=(5, 6, channels), dtype=np.uint8), "number": F.Scalar(np.int64)}
    made = load(draw(monkeypatch, features, {"train": numbered(images)}), tmp_path, by_index)
    assert made.features["image"] == Feature((5, 6, channels), "uint8")
    np.testing.assert_array_equal(pixels(made), images)


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize("kind", ["image", "tensor"])
def test_of_16_bits_the_upper_8_are_taken(monkeypatch, tmp_path, by_index, kind):
    images = np.random.default_rng(0).integers(0, 2**16, (COUNT, 5, 6, 1)).astype(np.uint16)
    images[0, 0, 0], images[1, 0, 0] = 2**16 - 1, 255
    image = F.Image(shape=(5, 6, 1), dtype=np.uint16) if kind == "image" else F.Tensor(shape=(5, 6, 1), dtype=np.uint16)
    features = {"image": image, "number": F.Scalar(np.int64)}
    made = load(draw(monkeypatch, features, {"train": numbered(images)}), tmp_path, by_index)
    np.testing.assert_array_equal(pixels(made), images // 256)


FLOATS = {
    "tensor": lambda: F.Tensor(shape=(5, 6, 1), dtype=np.float32),
    "image": lambda: F.Image(shape=(5, 6, 1), dtype=np.float32),
}


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("most", [1, pytest.param(255, marks=pytest.mark.slow)])
def test_floats_become_the_nearest_level(monkeypatch, tmp_path, kind, most):
    images = np.random.default_rng(0).random((COUNT, 5, 6, 1), np.float32) * np.float32(most)
    images[0, 0, 0], images[1, 0, 0] = 0, most
    # One split alone, whose values are all small, would be taken for one of the smaller range.
    dark = np.full((2, 5, 6, 1), 0.75, np.float32)
    examples = {"train": numbered(images), "test": numbered(dark)}
    name = draw(monkeypatch, {"image": FLOATS[kind](), "number": F.Scalar(np.int64)}, examples)
    made = load(name, tmp_path)
    assert made.features["image"] == Feature((5, 6, 1), "uint8")
    # Half a level, and what a product in float32 may be off.
    np.testing.assert_allclose(pixels(made), images.astype(np.float64) * 255 / most, rtol=0, atol=0.5001)
    assert (pixels(load(name, tmp_path, split="test")) == (191 if most == 1 else 1)).all()
    assert pixels(made)[1, 0, 0] == 255


@pytest.mark.parametrize(
    ("value", "message"), [(-0.5, "go from -0.5 to 1"), (256, "go from 0 to 256"), (np.nan, "go from nan to nan")]
)
def test_floats_of_another_range_are_refused(monkeypatch, tmp_path, value, message):
    images = np.zeros((2, 5, 6, 1), np.float32)
    images[0, 0, 0], images[1, 0, 0] = 1, value
    name = draw(monkeypatch, {"image": FLOATS["tensor"](), "number": F.Scalar(np.int64)}, {"train": numbered(images)})
    with pytest.raises(RequestError, match=message) as caught:
        load(name, tmp_path)
    assert len(str(caught.value)) < 160


def test_floats_that_do_not_fit_are_refused_and_shown_by_index(monkeypatch, tmp_path):
    images = np.random.default_rng(0).random((COUNT, 5, 6, 1), np.float32)
    name = draw(monkeypatch, {"image": FLOATS["tensor"](), "number": F.Scalar(np.int64)}, {"train": numbered(images)})
    held = load(name, tmp_path)
    with pytest.raises(RequestError, match=r"float32 images, which are read into memory.*raise memory_gib"):
        load(name, tmp_path, by_index=True)
    np.testing.assert_array_equal(pixels(load(name, tmp_path, by_index=True, for_a_few=True)), pixels(held))


def nested():
    features = {
        "inputs": {"image": F.Image(shape=(8, 8, 1)), "id": F.Scalar(np.int64)},
        "targets": F.FeaturesDict({"label": F.ClassLabel(names=["cat", "dog"]), "id": F.Scalar(np.int64)}),
        "number": F.Scalar(np.int64),
    }
    examples = [
        {"inputs": {"image": image, "id": 3 * n}, "targets": {"label": n % 2, "id": 5 * n}, "number": n}
        for n, image in enumerate(pictures(COUNT))
    ]
    return features, {"train": examples}


@pytest.mark.parametrize("by_index", [False, True])
def test_features_within_others(monkeypatch, tmp_path, by_index):
    made = load(draw(monkeypatch, *nested()), tmp_path, by_index)
    assert {*made.features} == {"image", "label", "inputs_id", "targets_id", "number"}
    assert made.default_label == "label"
    assert made.features["label"].class_names == ("cat", "dog")
    np.testing.assert_array_equal(pixels(made), pictures(COUNT))
    order = np.argsort(made.column("number"))
    for name, expected in (("label", np.arange(COUNT) % 2), ("targets_id", 5 * np.arange(COUNT))):
        np.testing.assert_array_equal(made.column(name)[order], expected)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"a": F.Tensor(shape=(4, 4, 1), dtype=np.uint8), "b": F.Tensor(shape=(4, 4, 1), dtype=np.uint8)}, "a, b; the"),
        ({"a": {"image": F.Image()}, "b": {"image": F.Image()}}, "several images, a/image, b/image; the builder must"),
        ({"image": F.Tensor(shape=(3, 32, 32), dtype=np.uint8)}, r"is \(3, 32, 32\); it must be \(height, width, chan"),
        ({"image": F.Tensor(shape=(4, 4), dtype=np.uint8)}, r"no feature that is an image; it has image \(Tensor\)"),
        ({"image": F.Tensor(shape=(4, 4, 1), dtype=np.float64)}, "no feature that is an image"),
        ({"image": F.Tensor(shape=(None, 4, 1), dtype=np.uint8)}, "must have one size"),
        ({"image": F.Image(shape=(None, None, 1), dtype=np.float32)}, "must have one size"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(monkeypatch, tmp_path, features, message):
    with pytest.raises(RequestError, match=message) as caught:
        load_source(draw(monkeypatch, features, {"train": []}), "train", str(tmp_path))
    assert len(str(caught.value)) < 160
    assert not list(tmp_path.iterdir())


def test_an_image_of_8_bits_goes_before_depth_and_tensors(monkeypatch, tmp_path):
    features = {
        "depth": F.Tensor(shape=(8, 8, 1), dtype=np.float32),
        "far": F.Image(shape=(8, 8, 1), dtype=np.uint16),
        "photo": F.Image(shape=(8, 8, 1)),
        "number": F.Scalar(np.int64),
    }
    rest = {"depth": np.ones((8, 8, 1), np.float32), "far": np.ones((8, 8, 1), np.uint16)}
    examples = [{"photo": image, "number": n, **rest} for n, image in enumerate(pictures(COUNT))]
    made = load(draw(monkeypatch, features, {"train": examples}), tmp_path)
    assert {*made.features} == {"image", "depth", "number"}
    np.testing.assert_array_equal(pixels(made), pictures(COUNT))


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (F.Image(shape=(8, 8, 1), dtype=np.uint16), F.Image(shape=(8, 8, 1))),
        (F.Tensor(shape=(8, 8, 1), dtype=np.float32), F.Tensor(shape=(8, 8, 1), dtype=np.uint8)),
    ],
)
def test_what_is_called_image_goes_before_a_mask(monkeypatch, tmp_path, image, mask):
    images = pictures(COUNT).astype(image.np_dtype) * (256 if image.np_dtype == np.uint16 else 1)
    features = {"mask": mask, "image": image, "number": F.Scalar(np.int64)}
    examples = numbered(images, mask=np.ones((COUNT, 8, 8, 1), np.uint8))
    made = load(draw(monkeypatch, features, {"train": examples}), tmp_path)
    np.testing.assert_array_equal(pixels(made), pictures(COUNT))


LEVELS = [10, -2, 7, 10, 7, 10, -2, 7, 10, 7, 10, -2]
WORDS = ["ä", "b", "Z", "b", "ä", "b", "Z", "b", "b", "b", "ä", "Z"]
PLAIN = {
    "level": (LEVELS, lambda: F.Scalar(np.int32), ("-2", "7", "10")),
    "word": (WORDS, lambda: F.Text(), ("Z", "b", "ä")),
    "sharp": ([value > 5 for value in LEVELS], lambda: F.Scalar(np.bool_), ("False", "True")),
}


def plain(monkeypatch, label, supervised=True, **more):
    values, feature, _ = PLAIN[label]
    features = {"image": F.Image(shape=(8, 8, 1)), "number": F.Scalar(np.int64), label: feature()}
    examples = {"train": numbered(pictures(COUNT), **{label: values})}
    for split, others in more.items():
        examples[split] = numbered(pictures(len(others)), **{label: others})
    return draw(monkeypatch, features, examples, ("image", label) if supervised else None)


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize("label", PLAIN)
def test_labels_that_are_numbers_or_words_have_the_classes_of_training(monkeypatch, tmp_path, label, by_index):
    values, _, class_names = PLAIN[label]
    name = plain(monkeypatch, label, test=values[:2])
    for split, count in (("train", COUNT), ("test", 2), ("train[:3]", 3)):
        made = load(name, tmp_path, by_index, split=split, classes_of="train")
        assert made.default_label == label
        assert made.features[label] == Feature((), "int64", class_names)
        codes = fetch_examples(made, np.arange(count))[label]
        np.testing.assert_array_equal(made.column(label), codes)
        assert [class_names[code] for code in codes] == [str(values[n]) for n in made.column("number")]


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize(
    ("label", "test", "message"),
    [
        ("level", [7, 8, 8, 10], "level is '8' in 2 of 4 examples of test, a class that train does not hold"),
        ("word", ["b", "c"], "word is 'c' in 1 of 2 examples of test, a class that train does not hold"),
    ],
)
def test_a_value_that_training_lacks_is_refused(monkeypatch, tmp_path, label, test, message, by_index):
    name = plain(monkeypatch, label, test=test)
    with pytest.raises(RequestError, match=message) as caught:
        load(name, tmp_path, by_index, split="test", classes_of="train")
    assert len(str(caught.value)) < 160


def test_a_number_is_a_class_label_only_where_it_is_asked_for(monkeypatch, tmp_path):
    name = plain(monkeypatch, "level", supervised=False)
    made = load(name, tmp_path, classes_of="train")
    assert made.default_label is None
    assert made.features["level"] == Feature((), "int32")
    np.testing.assert_array_equal(made.column("level"), [LEVELS[n] for n in made.column("number")])
    made = load(name, tmp_path, classes_of="train", labels=["level"])
    assert made.features["level"].class_names == ("-2", "7", "10")
    assert made.features["number"] == Feature((), "int64")


def test_words_that_are_not_learned_are_not_read(monkeypatch, tmp_path):
    name = plain(monkeypatch, "word")
    assert {*load(name, tmp_path).features} == {"image", "number"}
    description = describe_source(name, "train", str(tmp_path))
    assert description.features["word"] == Feature((), "string")
    config = ExperimentConfig(dataset=name, labels="word")
    with pytest.raises(RequestError, match=r"labels is 'word'; which classes it has is known once .* is read"):
        find_task("classification")(config, description, description)
    with pytest.raises(RequestError, match="unknown feature in labels 'wrod'; did you mean word"):
        load(name, tmp_path, classes_of="train", labels=["wrod"])


OTHERS = {
    "number": (LEVELS, lambda: F.Scalar(np.int64)),
    "float": ([value / 2 for value in LEVELS], lambda: F.Scalar(np.float32)),
    "several": ([np.ones(3, np.int64)] * COUNT, lambda: F.Tensor(shape=(3,), dtype=np.int64)),
}


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize(("called", "supervised"), [("label", None), ("label", "sex"), ("age", "age")])
def test_the_only_class_label_is_not_learned_in_place_of_another(
    monkeypatch, tmp_path, kind, called, supervised, by_index
):
    values, feature = OTHERS[kind]
    features = {"image": F.Image(shape=(8, 8, 1)), called: feature(), "sex": F.ClassLabel(names=["f", "m"])}
    features["number"] = F.Scalar(np.int64)
    columns = {called: values, "sex": [0, 1] * (COUNT // 2)}
    examples = {"train": numbered(pictures(COUNT), **columns)}
    name = draw(monkeypatch, features, examples, ("image", supervised) if supervised else None)
    learned = "sex" if supervised == "sex" else called
    assert describe_source(name, "train", str(tmp_path)).default_label == learned
    assert load(name, tmp_path, by_index).default_label == learned


def test_a_target_that_is_not_read_is_not_replaced(monkeypatch, tmp_path):
    features = {"image": F.Image(shape=(8, 8, 1)), "boxes": F.Sequence(F.BBoxFeature())}
    features["sex"] = F.ClassLabel(num_classes=2)
    name = draw(monkeypatch, features, {"train": []}, ("image", "boxes"))
    assert describe_source(name, "train", str(tmp_path)).default_label is None


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize("encoding", ["jpeg", "png"])
def test_images_of_a_declared_size_are_not_turned(monkeypatch, tmp_path, encoding, by_index):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, picture in enumerate(pictures(COUNT, (20, 30, 3))):
        for kind, data in (("plain", b""), ("tagged", exif)):
            Image.fromarray(picture).save(tmp_path / f"{kind}{number}.{encoding}", exif=data)
    plain, tagged = ([str(tmp_path / f"{kind}{n}.{encoding}") for n in range(COUNT)] for kind in ("plain", "tagged"))
    features = {"image": F.Image(shape=(20, 30, 3), encoding_format=encoding), "number": F.Scalar(np.int64)}
    made = load(draw(monkeypatch, features, {"train": numbered(tagged)}), tmp_path, by_index)
    stored = tf.constant([Path(path).read_bytes() for path in plain])
    np.testing.assert_array_equal(pixels(made), images.decode(stored, (20, 30, 3)))
    order = np.argsort(made.column("number"))
    for sizing in (Sizing(10), Sizing(10, 0.8)):
        for memory_bytes in (0, 2**20):
            small = sized(made, sizing, memory_bytes).fetch(order)["image"]
            np.testing.assert_array_equal(small, sizing(stored, (20, 30, 3)))


def test_an_image_of_another_size_than_declared_is_one_line(monkeypatch, tmp_path):
    for number, shape in enumerate([(20, 30, 3)] * 3 + [(30, 20, 3)]):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{number}.jpeg")
    examples = [{"image": str(tmp_path / f"{n}.jpeg"), "label": n % 2} for n in range(4)]
    features = {"image": F.Image(shape=(20, 30, 3)), "label": F.ClassLabel(num_classes=2)}
    name = draw(monkeypatch, features, {"train": examples, "test": examples})
    with pytest.raises(RequestError, match=f"^{name} cannot be read: {images.OTHER_SIZE}$"):
        open_data(ExperimentConfig(dataset=name, jit="off"), data_dir=str(tmp_path))


def test_training_crops_of_a_declared_size_are_not_turned(monkeypatch, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = np.repeat(np.arange(30, dtype=np.uint8), 20 * 3).reshape(30, 20, 3).swapaxes(0, 1)
    Image.fromarray(picture).save(tmp_path / "one.png", exif=exif)
    examples = [{"image": str(tmp_path / "one.png"), "label": n % 2} for n in range(COUNT)]
    features = {"image": F.Image(shape=(20, 30, 3)), "label": F.ClassLabel(num_classes=2)}
    name = draw(monkeypatch, features, {"train": examples, "test": examples[:2]})
    config = ExperimentConfig(dataset=name, image_size=10, augment="random_resized_crop", jit="off")
    data = open_data(config, data_dir=str(tmp_path), memory_gib=0)
    keys = example_keys(0, tf.zeros([4], tf.int64), tf.range(4, dtype=tf.int64))
    crops = data.transform(data.train.fetch(np.arange(4))["image"], keys).numpy()
    # Levels change from column to column of what is stored, and not from row to row.
    assert (crops == crops[:, :1]).all()
    assert (crops[:, :, 0] < crops[:, :, -1]).all()


@pytest.mark.parametrize("memory_gib", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_learns_words(monkeypatch, tmp_path, memory_gib):
    name = plain(monkeypatch, "word", test=WORDS)
    config = ExperimentConfig(dataset=name, model="mlp", epochs=1, batch_size=4, jit="off")
    train_and_evaluate(config, str(tmp_path / "run"), data_dir=str(tmp_path), memory_gib=memory_gib)
    header, *rows = (tmp_path / "run" / "confusion_word.csv").read_text(encoding="utf-8").splitlines()
    assert header.split(",")[-3:] == ["Z", "b", "ä"]
    assert [row.split(",")[0] for row in rows] == ["Z", "b", "ä"]


def test_a_label_of_one_class_is_refused(monkeypatch, tmp_path):
    name = plain(monkeypatch, "level", few=[7, 7], test=[7])
    config = ExperimentConfig(dataset=name, model="mlp", train_split="few", jit="off")
    with pytest.raises(RequestError, match=r"level of .* has one class, 7; choose a label or a split with two"):
        open_data(config, data_dir=str(tmp_path))
