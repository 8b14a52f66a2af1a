"""Predictions are those of the run's own evaluation, whatever its images are made of."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.config import ExperimentConfig
from zoo.data.sources import load_source
from zoo.errors import RequestError
from zoo.use.answers import answers

CLASSES = ("bright", "dark")


def draw(folder):
    """Photographs of many sizes, JPEG and PNG, of two classes that are easy to tell apart but not surely."""
    rng = np.random.default_rng(0)
    for label, level in zip(CLASSES, (150, 100), strict=True):
        (folder / label).mkdir(parents=True)
        for number in range(40):
            height, width = rng.integers(20, 90, 2)
            pixels = np.clip(rng.normal(level, 60, (height, width, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.{('jpg', 'png')[number % 2]}")


@pytest.fixture(scope="module", params=["squeezed", pytest.param("cropped", marks=pytest.mark.slow)])
def photographs(request, tmp_path_factory):
    """A folder and the run of a small net on it."""
    root = tmp_path_factory.mktemp("photographs")
    draw(root / "photos")
    config = ExperimentConfig(
        model="simple_cnn",
        model_args={"filters": [4]},
        dataset=f"folder:{root / 'photos'}",
        image_size=16,
        center_crop={"squeezed": 0.0, "cropped": 0.875}[request.param],
        interpolation={"squeezed": "bilinear", "cropped": "bicubic"}[request.param],
        epochs=2,
        batch_size=16,
    )
    zoo.train(config, workdir=str(root / "run"))
    return root / "photos", root / "run"


def test_files_of_the_evaluation_split_are_answered_as_in_the_evaluation(photographs, tmp_path):
    folder, run = photographs
    source = load_source(f"folder:{folder}", "test", memory_bytes=2**30)
    files = []
    for number, content in enumerate(source.column("image")):
        files.append(tmp_path / str(number))
        files[-1].write_bytes(content)
    kinds = {file.read_bytes()[:3] for file in files}
    assert kinds == {b"\xff\xd8\xff", b"\x89PN"}
    recorded = np.load(run / "evaluation.npz")
    predicted = zoo.predict(run, files)
    assert [CLASSES.index(one.label) for one in predicted] == recorded["predicted"].tolist()
    # Other sizes of batches may add in another order; a step of float32 near 1 is 6e-8.
    np.testing.assert_allclose([one.confidence for one in predicted], recorded["confidence"], rtol=0, atol=1e-6)
    assert len({one.label for one in predicted}) == 2
    for one in predicted:
        assert list(one.probabilities) == list(CLASSES)
        assert one.probabilities[one.label] == one.confidence == max(one.probabilities.values())
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-6)


def test_arrays_are_answered_as_their_files(photographs):
    folder, run = photographs
    files = sorted(folder.glob("*/*.png"))
    arrays = [np.array(Image.open(file)) for file in files]
    trained = zoo.load_trained(run)
    expected = zoo.predict(trained, files)
    assert zoo.predict(trained, arrays) == expected
    alone, two = zoo.predict(trained, str(files[3])), zoo.predict(trained, [arrays[0], files[1]])
    assert alone == zoo.predict(trained, arrays[3])
    assert two == zoo.predict(trained, files[:2])
    # In a batch of another size a CPU may add in another order.
    for one, other in zip([*alone, *two], [expected[3], *expected[:2]], strict=True):
        assert one.label == other.label
        assert one.probabilities == pytest.approx(other.probabilities, rel=0, abs=1e-6)
    same_size = np.stack([arrays[0]] * 3)
    assert [one.label for one in zoo.predict(trained, same_size)] == [expected[0].label] * 3
    assert zoo.predict(trained, []) == []


@pytest.fixture(scope="module")
def digits(tmp_path_factory, data_dir):
    run = tmp_path_factory.mktemp("digits") / "run"
    zoo.train(ExperimentConfig(model="mlp", epochs=1), workdir=str(run), data_dir=data_dir)
    return zoo.load_trained(run)


def test_images_that_are_not_resized(digits, data_dir, tmp_path):
    images = load_source("digits", "test", data_dir, memory_bytes=2**30).column("image")
    predicted = zoo.predict(digits, images)
    recorded = answers(digits, data_dir=data_dir)
    assert [int(one.label) for one in predicted] == recorded["predicted"].tolist()
    np.testing.assert_allclose([one.confidence for one in predicted], recorded["confidence"], rtol=0, atol=1e-6)
    Image.fromarray(images[7, ..., 0]).save(tmp_path / "seven.png")
    assert zoo.predict(digits, tmp_path / "seven.png") == zoo.predict(digits, images[7])


def test_what_cannot_be_predicted_is_one_line(digits, photographs, tmp_path):
    folder, run = photographs
    trained = zoo.load_trained(run)
    (tmp_path / "no.jpg").write_text("no image")
    whole = next(folder.glob("*/*.jpg")).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    good = next(folder.glob("*/*.png"))
    for model, images, message in (
        (trained, [good, tmp_path / "none.jpg"], "none.jpg cannot be read: No such file or directory"),
        (trained, [good, tmp_path / "no.jpg"], "no.jpg cannot be decoded as an image, height x width x 3"),
        (trained, [good, tmp_path / "cut.jpg"], "cut.jpg cannot be decoded as an image"),
        (trained, tmp_path, "cannot be read: Is a directory"),
        (trained, "a\0b", "cannot be read: embedded null byte"),
        (trained, 3, "image 0 is 3; it must be a path, or uint8 pixels in an array"),
        (trained, b"a.jpg", "image 0 is b'a.jpg'; it must be a path"),
        (trained, [good, None], "image 1 is None; it must be a path"),
        (trained, np.zeros((0, 9, 3), np.uint8), "it must be uint8, height x width x 3"),
        (trained, np.zeros((5, 5, 1), np.uint8), r"image 0 is uint8 \(5, 5, 1\); it must be uint8, height x width x 3"),
        (trained, [good, np.zeros((5, 5, 3))], r"image 1 is float64 \(5, 5, 3\); it must be uint8"),
        (trained, np.zeros((5, 5), np.uint8), r"image 0 is uint8 \(5,\)"),
        (digits, np.zeros((9, 8, 1), np.uint8), r"image 0 is uint8 \(9, 8, 1\); it must be uint8, 8 x 8 x 1"),
        (digits, good, "cannot be decoded as an image, 8 x 8 x 1"),
        (tmp_path / "nothing", good, "there is no run in"),
        (dataclasses.replace(digits, task="verification"), good, "the run is of verification; predict is for"),
    ):
        with pytest.raises(RequestError, match=message) as error:
            zoo.predict(model, images)
        assert "\n" not in str(error.value)


def test_a_second_input_is_refused(digits):
    config = dataclasses.replace(digits.config, condition="alphabet")
    with pytest.raises(RequestError, match="the model takes alphabet beside the image"):
        zoo.predict(dataclasses.replace(digits, config=config), np.zeros((8, 8, 1), np.uint8))
