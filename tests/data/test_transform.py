"""From stored images to what a model takes, against NumPy and Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.data import augment, images, transform
from zoo.data.randomness import example_keys
from zoo.data.sources.example_source import InMemorySource
from zoo.data.transform import ImageTransform, SizedSource, Sizing, image_chunks, make_normalization, sized

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (150, 6, 8, 3), dtype=np.uint8)
GIB = 2**30


def source(pixels=PIXELS, **features):
    return InMemorySource({"image": pixels, **features}, name="made", version="1.2.0")


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def encoded(files, image_shape=(None, None, 3)):
    labels = np.arange(len(files))
    return InMemorySource(
        {"image": np.array(files, object), "kind": labels % 2, "number": labels},
        name="made",
        version="1.2.0",
        class_names={"kind": ("cat", "dog")},
        default_label="kind",
        image_shape=image_shape,
    )


def smooth(height, width, phase):
    """An image that resizing hardly blurs."""
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    waves = [np.sin(3 * x + 2 * y + phase), np.cos(4 * y - x), np.sin(phase + 5 * x * y)]
    return (127.5 + 120 * np.stack(waves, -1)).astype("uint8")


SIZES = [(30, 40), (40, 30), (24, 24), (33, 50)]
PICTURES = [smooth(*size, phase) for phase, size in enumerate(SIZES)]
FILES = [png(picture) for picture in PICTURES]


def normalized(normalization, pixels):
    return normalization(tf.constant(pixels)).numpy()


# Normalisation.


@pytest.mark.parametrize(("normalize", "low", "high"), [("unit", 0, 1), ("signed", -1, 1)])
def test_fixed_normalisations(normalize, low, high):
    extremes = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    result = normalized(make_normalization(source(extremes), normalize), extremes)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result[:, 0, 0, 0], [low, high], rtol=1e-6)


def test_imagenets_normalisation_is_that_of_published_weights():
    result = normalized(make_normalization(source(), "imagenet"), PIXELS)
    expected = (PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_imagenets_normalisation_is_for_three_channels():
    with pytest.raises(ValueError, match="normalize is 'imagenet'; the images of made have 1 channel, not 3"):
        make_normalization(source(PIXELS[..., :1]), "imagenet")


def test_standardized_images_have_mean_0_and_deviation_1():
    result = normalized(make_normalization(source(), "standardize"), PIXELS).astype("float64")
    np.testing.assert_allclose(result.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std((0, 1, 2)), 1, rtol=1e-5)
    exact = PIXELS.astype("float64")
    np.testing.assert_allclose(result, (exact - exact.mean((0, 1, 2))) / exact.std((0, 1, 2)), rtol=1e-5, atol=1e-5)


def test_statistics_are_exact_whatever_the_number_of_pixels():
    # The variance times the square of this number does not fit into 64 bits; CIFAR-10 has twice as many pixels.
    count = 2500 * 100 * 100
    assert 127.5**2 * count**2 > 2**63
    pixels = np.zeros((2500, 100, 100, 1), np.uint8)
    pixels[::2] = 255
    normalization = make_normalization(source(pixels), "standardize")
    assert (normalization.mean, normalization.deviation) == ((127.5,), (127.5,))


def test_a_channel_that_never_changes_survives_standardizing():
    flat = PIXELS.copy()
    flat[..., 1] = 7
    result = normalized(make_normalization(source(flat), "standardize"), flat)
    np.testing.assert_array_equal(result[..., 1], 0)
    assert abs(result[..., 2].std() - 1) < 1e-5


# Sizes.


def test_chunks_are_all_images_in_order():
    chunks = list(image_chunks(source(), "reading"))
    assert [start for start, _ in chunks] == [0, 64, 128]
    np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in chunks]), PIXELS)


def test_images_of_the_size_asked_for_are_left_alone():
    square = source(PIXELS[:, :, :6])
    assert sized(square, Sizing(), GIB) is square
    assert sized(square, Sizing(6), GIB) is square
    assert sized(square, Sizing(6, center_crop=0.8), GIB) is not square


def test_resizing_is_bilinear():
    enlarged = sized(source(PIXELS[:3, :, :6]), Sizing(12), GIB)
    assert enlarged.features["image"].shape == (12, 12, 3)
    # Half-pixel centres: the second output pixel lies a quarter of the way from the first input pixel.
    first, second = PIXELS[0, 0, :2].astype("float64")
    found = enlarged.fetch(tf.constant([0], tf.int64))["image"][0, 0, 1]
    np.testing.assert_allclose(found, 0.75 * first + 0.25 * second, atol=0.5 + 1e-4)


@pytest.mark.parametrize(("center_crop", "interpolation"), [(0.0, "bilinear"), (0.8, "bicubic")])
def test_images_of_any_size_come_to_one(interpolation, center_crop):
    whole = sized(encoded(FILES), Sizing(20, center_crop, interpolation), GIB)
    feature = whole.features["image"]
    assert (feature.shape, feature.dtype, feature.encoded) == ((20, 20, 3), "uint8", False)
    found = whole.fetch(tf.range(4, dtype=tf.int64))["image"].numpy()
    assert found.dtype == "uint8"
    resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    for image, picture in zip(found, PICTURES, strict=True):
        height, width, _ = picture.shape
        side = round(0.8 * min(height, width))
        top, left = (height - side) // 2, (width - side) // 2
        box = (left, top, left + side, top + side) if center_crop else None
        expected = np.array(Image.fromarray(picture).resize((20, 20), resample, box=box), "int64")
        # Pillow filters where it shrinks; the pictures are smooth, so that both give about the same.
        assert abs(image - expected).mean() < 2


@pytest.mark.parametrize("sizing", [Sizing(20), Sizing(10, 0.9, "bicubic")], ids=str)
def test_what_fits_in_memory_is_the_same_as_what_does_not(sizing):
    stored = encoded(FILES)
    held, fetched = sized(stored, sizing, GIB), sized(stored, sizing, 0)
    assert isinstance(held, InMemorySource)
    assert isinstance(fetched, SizedSource)
    assert held.features == fetched.features
    for name in ("name", "version", "fingerprint", "num_examples", "default_label"):
        assert getattr(held, name) == getattr(fetched, name) == getattr(stored, name), name
    indices = tf.constant([3, 0, 0, 2], tf.int64)
    one, other = held.fetch(indices), fetched.fetch(indices)
    assert one.keys() == other.keys() == {"image", "kind", "number"}
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)
    for name in ("kind", "number"):
        np.testing.assert_array_equal(held.column(name), stored.column(name))
        np.testing.assert_array_equal(fetched.column(name), stored.column(name))


def test_the_memory_is_that_of_the_sized_images():
    stored = encoded(FILES)
    assert isinstance(sized(stored, Sizing(20), 4 * 20 * 20 * 3), InMemorySource)
    assert isinstance(sized(stored, Sizing(20), 4 * 20 * 20 * 3 - 1), SizedSource)


def test_encoded_images_of_one_size_need_no_size():
    stored = encoded([png(pixels) for pixels in PIXELS[:5]], image_shape=(6, 8, 3))
    decoded = sized(stored, Sizing(), GIB)
    feature = decoded.features["image"]
    assert (feature.shape, feature.dtype, feature.encoded) == ((6, 8, 3), "uint8", False)
    # In a graph, as the pipeline does it.
    (batch,) = tf.data.Dataset.from_tensors(np.array([4, 1])).map(decoded.fetch).as_numpy_iterator()
    np.testing.assert_array_equal(batch["image"], PIXELS[[4, 1]])
    np.testing.assert_array_equal(batch["number"], [4, 1])
    normalization = make_normalization(decoded, "standardize")
    np.testing.assert_allclose(normalization.mean, PIXELS[:5].mean((0, 1, 2)), rtol=1e-12)


def test_encoded_images_of_several_sizes_need_one():
    with pytest.raises(ValueError, match="the images of made may differ in size; set image_size"):
        sized(encoded(FILES), Sizing(), GIB)


# Augmentation.


def keys(count):
    return example_keys(1, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))


def test_without_keys_nothing_is_augmented():
    transform = ImageTransform("pad_crop:2,flip")
    np.testing.assert_array_equal(transform(tf.constant(PIXELS), None), PIXELS)
    assert not np.array_equal(transform(tf.constant(PIXELS), keys(150)), PIXELS)


def test_augmented_images_are_pixels():
    pixels = ImageTransform("pad_crop:2,flip")(tf.constant(PIXELS), keys(150)).numpy()
    assert pixels.dtype == "uint8"
    np.testing.assert_array_equal(pixels, augment.make_augmentation("pad_crop:2,flip")(PIXELS, keys(150)))


def test_what_is_cut_out_becomes_the_mean():
    normalization = make_normalization(source(), "standardize")
    cut = ImageTransform("cutout:4", normalization.mean)(tf.constant(PIXELS), keys(150)).numpy()
    changed = (cut != PIXELS).any(-1)
    assert 4 * 150 < changed.sum() <= 16 * 150
    # To the nearest level, and a level is less than a sixtieth of the deviation.
    assert abs(normalized(normalization, cut)[changed]).max() < 1 / 60


def test_a_random_crop_is_taken_from_the_stored_image():
    stored = encoded(FILES)
    sizing, augmentation = Sizing(20, interpolation="bicubic"), "random_resized_crop:0.3,flip"
    transform = ImageTransform(augmentation, (0.0,) * 3, sizing)
    files = stored.fetch(tf.range(4, dtype=tf.int64))["image"]
    found = transform(files, keys(4)).numpy()
    crops = images.random_resized_crop(files, keys(4), 20, 3, 0.3, "bicubic")
    np.testing.assert_array_equal(found, augment.make_augmentation(augmentation)(crops, keys(4)))
    assert found.shape == (4, 20, 20, 3)
    for i in range(4):
        alone = transform(files[i : i + 1], keys(4)[i : i + 1])
        np.testing.assert_array_equal(found[i : i + 1], alone)


def test_the_normalisation_of_random_crops_is_that_of_whole_images():
    whole = sized(encoded(FILES), Sizing(20), 0)
    normalization = make_normalization(whole, "standardize")
    pixels = whole.fetch(tf.range(4, dtype=tf.int64))["image"].numpy()
    np.testing.assert_allclose(normalization.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(normalization.deviation, pixels.std((0, 1, 2)), rtol=1e-12)


def test_evaluation_leaves_augmentation_and_crop_alone():
    transform = ImageTransform("random_resized_crop:0.3,flip", (0.0,) * 3, Sizing(6))
    np.testing.assert_array_equal(transform(tf.constant(PIXELS), None), PIXELS)


@pytest.mark.parametrize(("error", "named"), [(ValueError, True), (MemoryError, False)])
def test_of_a_chunk_that_cannot_be_read_its_own_examples_are_named(error, named):
    """Too little memory, which TensorFlow makes of a MemoryError, says nothing of what the examples are."""

    class Source:
        name, num_examples = "broken", 3 * transform.CHUNK

        def fetch(self, indices):
            def read(first):
                if first == transform.CHUNK:
                    raise error("the second chunk")
                return np.zeros((transform.CHUNK, 1, 1, 1), np.uint8)

            return {"image": tf.numpy_function(read, [indices[0]], tf.uint8)}

    if named:
        with pytest.raises(transform.UnreadableChunkError) as raised:
            list(transform.image_chunks(Source(), "reading"))
        assert raised.value.indices.tolist() == list(range(transform.CHUNK, 2 * transform.CHUNK))
    else:
        with pytest.raises(tf.errors.ResourceExhaustedError):
            list(transform.image_chunks(Source(), "reading"))
