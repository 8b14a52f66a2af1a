"""Folders of images, against what PIL reads."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.data import images
from zoo.data.sources import Feature, InMemorySource, load_source
from zoo.data.sources.example_source import example_names
from zoo.data.sources.folder import FolderSource

RNG = np.random.default_rng(0)


def save(path, *, size=(12, 9), mode="RGB", **options):
    """A random image of (width, height) as `Image.save` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path, **options)
    else:
        Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def make(root, classes=("cat", "dog"), count=40, size=None):
    for number in range(count):
        save(
            root / classes[number % len(classes)] / f"image{number}.png",
            size=size or (int(RNG.integers(5, 20)), int(RNG.integers(5, 20))),
        )
    return root


def load(root, split="train", **options):
    return load_source(f"folder:{root}", split, **options)


def fetch(source, indices):
    (batch,) = tf.data.Dataset.from_tensors(np.array(indices, np.int64)).map(source.fetch).as_numpy_iterator()
    return batch


def contents(source):
    """What a source holds: a set of (bytes of the image, label)."""
    batch = fetch(source, range(source.num_examples))
    return {(bytes(image), int(label)) for image, label in zip(batch["image"], batch["label"], strict=True)}


def files(root, classes=("cat", "dog")):
    return {(file.read_bytes(), label) for label, name in enumerate(classes) for file in (root / name).rglob("*.png")}


@pytest.mark.parametrize("kind", [InMemorySource, FolderSource])
def test_images_and_classes_are_those_of_the_folders(tmp_path, kind):
    make(tmp_path)
    options = {"memory_bytes": 0} if kind is FolderSource else {}
    train, test = load(tmp_path, "train", **options), load(tmp_path, "test", **options)
    assert type(train) is type(test) is kind
    assert train.features["image"] == Feature((None, None, 3), "uint8", encoded=True)
    assert train.features["label"] == Feature((), "int64", ("cat", "dog"))
    assert train.default_label == "label"
    assert contents(train) | contents(test) == files(tmp_path)
    assert train.num_examples + test.num_examples == 40
    np.testing.assert_array_equal(train.column("label"), fetch(train, range(train.num_examples))["label"])


def test_both_kinds_have_one_order(tmp_path):
    make(tmp_path)
    one, other = load(tmp_path), load(tmp_path, memory_bytes=0)
    for indices in ([3, 0, 3], range(one.num_examples)):
        np.testing.assert_array_equal(fetch(one, indices)["image"], fetch(other, indices)["image"])
        np.testing.assert_array_equal(fetch(one, indices)["label"], fetch(other, indices)["label"])


def test_the_split_is_a_tenth_and_stays_when_images_are_added(tmp_path):
    make(tmp_path, count=300, size=(4, 4))
    before = {split: contents(load(tmp_path, split)) for split in ("train", "test")}
    # Five standard deviations of a binomial count.
    assert abs(len(before["test"]) - 30) < 5 * np.sqrt(300 * 0.1 * 0.9)
    make(tmp_path / "more", count=50, size=(4, 4))
    for folder in ("cat", "dog"):
        (tmp_path / "more" / folder).rename(tmp_path / folder / "added later")
    (tmp_path / "more").rmdir()
    for split in ("train", "test"):
        after = contents(load(tmp_path, split))
        assert before[split] < after


def test_slices_hold_all_classes(tmp_path):
    make(tmp_path, classes=("a", "b", "c", "d"), count=200, size=(4, 4))
    first, rest = load(tmp_path, "train[:50%]"), load(tmp_path, "train[50%:]")
    assert set(first.column("label")) == set(rest.column("label")) == {0, 1, 2, 3}
    assert contents(first) | contents(rest) == contents(load(tmp_path))
    assert load(tmp_path, "train[3:10]+test[:2]").num_examples == 9


@pytest.mark.parametrize("held_out", ["test", "val", "validation"])
def test_folders_of_splits(tmp_path, held_out):
    make(tmp_path / "train", count=6)
    make(tmp_path / held_out, count=4)
    assert contents(load(tmp_path, "train")) == files(tmp_path / "train")
    assert contents(load(tmp_path, "test")) == files(tmp_path / held_out)
    assert contents(load(tmp_path, held_out)) == files(tmp_path / held_out)
    assert load(tmp_path, "train[:50%]").num_examples == 3


def test_other_files_are_passed_over(tmp_path):
    make(tmp_path, count=30)
    save(tmp_path / "cat" / "deep" / "er" / "LOUD.JPEG", format="JPEG")
    expected = load(tmp_path, "train").num_examples + load(tmp_path, "test").num_examples
    assert expected == 31
    for name in ("cat/notes.txt", "cat/.hidden.png", ".git/config.png", "picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no image")
    assert load(tmp_path, "train").num_examples + load(tmp_path, "test").num_examples == expected


def test_every_mode_comes_as_rgb(tmp_path):
    make(tmp_path / "test", count=2)
    for mode, name in (("L", "a.png"), ("LA", "b.png"), ("RGBA", "c.png"), ("P", "d.png"), ("1", "e.png")):
        save(tmp_path / "train" / "cat" / name, mode=mode)
    save(tmp_path / "train" / "cat" / "f.PNG", mode="I;16")
    save(tmp_path / "train" / "dog" / "g.jpg", mode="L")
    save(tmp_path / "train" / "dog" / "h.jpg", mode="CMYK", quality=95)
    source = load(tmp_path)
    stored = source.fetch(tf.range(source.num_examples, dtype=tf.int64))["image"]
    paths = {path.name: path for path in (tmp_path / "train").rglob("*.*")}
    references = {}
    for name, path in paths.items():
        image = Image.open(path)
        if image.mode == "I;16":
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        references[name] = np.asarray(image.convert("RGB"), np.float64)
    names = set()
    for image in images.decode(stored, (9, 12, 3)).numpy():
        distances = {name: np.abs(image - reference).mean() for name, reference in references.items()}
        nearest = min(distances, key=distances.get)
        # PIL and TensorFlow convert CMYK by different formulas, and JPEG's rounding differs by a level.
        assert distances[nearest] <= {"g.jpg": 1, "h.jpg": 8}.get(nearest, 0), nearest
        names.add(nearest)
    assert names == set(references)


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_other_formats_are_named_whatever_their_suffix(tmp_path, kind):
    make(tmp_path)
    wrong = tmp_path / "cat" / "wrong.png"
    Image.new("RGB", (8, 8)).save(wrong, format=kind)
    with pytest.raises(ValueError, match=r"cat/wrong\.png cannot be decoded as JPEG, PNG, BMP, GIF or WebP"):
        [load(tmp_path, split) for split in ("train", "test")]


@pytest.mark.parametrize("memory_bytes", [2**30, 0])
def test_the_content_decides_how_an_image_is_decoded(tmp_path, memory_bytes):
    make(tmp_path / "train", count=2, size=(12, 9))
    for kind, name in (("BMP", "a.BMP"), ("GIF", "b.gif"), ("WEBP", "c.webp"), ("JPEG", "d.jfif"), ("BMP", "e.jpg")):
        save(tmp_path / "train" / "cat" / name, format=kind)
    source = load(tmp_path, memory_bytes=memory_bytes)
    assert source.num_examples == 7
    for image, name in zip(fetch(source, range(7))["image"], example_names(source), strict=True):
        with Image.open(tmp_path / name) as file:
            reference = np.asarray(file.convert("RGB")).astype(int)
        difference = np.abs(images.decode_one(tf.constant(image), 3).numpy() - reference).mean()
        assert difference <= (2 if "d.jfif" in name else 0)


def test_fingerprints(tmp_path):
    make(tmp_path / "a")
    made = {load(tmp_path / "a").fingerprint, load(tmp_path / "a", memory_bytes=0).fingerprint}
    (tmp_path / "a").rename(tmp_path / "b")
    # The place does not matter, the content does.
    assert {load(tmp_path / "b").fingerprint, load(tmp_path / "b", memory_bytes=0).fingerprint} == made
    for file in (tmp_path / "b" / "cat").iterdir():
        save(file, size=(31, 17))
    assert not {load(tmp_path / "b").fingerprint, load(tmp_path / "b", memory_bytes=0).fingerprint} & made


def corrupt(root):
    """Adds a text file, an empty file and a truncated JPEG; returns their names."""
    for split in ("train", "test"):
        make(root / split, count=10)
    broken = root / "train" / "dog"
    (broken / "text.jpg").write_text("this is no image")
    (broken / "empty.png").write_bytes(b"")
    whole = save(broken / "half.jpg", size=(64, 64)).read_bytes()
    (broken / "half.jpg").write_bytes(whole[: len(whole) // 2])
    return {str(broken / name) for name in ("text.jpg", "empty.png", "half.jpg")}


def test_a_corrupt_image_is_named(tmp_path):
    broken = corrupt(tmp_path)
    with pytest.raises(ValueError, match=r"\(and 2 more\) cannot be decoded as JPEG, PNG.*--skip_corrupt_images") as e:
        load(tmp_path)
    assert str(e.value).partition(" (and")[0] in broken


@pytest.mark.parametrize("memory_bytes", [2**30, 0])
def test_corrupt_images_can_be_left_out(tmp_path, capsys, memory_bytes):
    broken = corrupt(tmp_path)
    source = load(tmp_path, skip_corrupt=True, memory_bytes=memory_bytes)
    (line,) = capsys.readouterr().err.splitlines()
    start, _, first = line.partition(" cannot be decoded and are left out; the first is ")
    assert start == f"warning: 3 of 13 images of folder:{tmp_path}"
    assert first in broken
    assert source.num_examples == 10
    assert contents(source) == files(tmp_path / "train") - {(b"", 1)}


def test_a_large_folder_finds_its_corrupt_image_when_asked(tmp_path):
    broken = corrupt(tmp_path)
    source = load(tmp_path, memory_bytes=0)
    order = [source.first_corrupt(np.array([index])) for index in range(source.num_examples)]
    assert {name for name in order if name} == broken
    assert source.first_corrupt(np.arange(13)) == next(name for name in order if name)
    good = np.array([index for index, name in enumerate(order) if not name])
    assert source.first_corrupt(good) is None


def test_a_class_of_corrupt_images_alone_is_named(tmp_path):
    make(tmp_path / "train", count=2)
    for file in (tmp_path / "train" / "dog").iterdir():
        file.write_text("nothing")
    with pytest.raises(ValueError, match=r"no image of class dog of .* can be decoded"):
        load(tmp_path, skip_corrupt=True)


def wrong(root, what):
    """A folder that cannot be used."""
    if what == "missing":
        return root / "nowhere"
    if what == "file":
        return save(root / "one.png")
    if what == "split":
        make(root / "train", count=4)
    elif what == "more":
        make(root / "train", count=6, classes=("cat", "dog", "owl"))
        make(root / "test", count=6, classes=("cat", "dog", "owl", "emu"))
    elif what == "unsorted":
        make(root / "train", count=4)
        save(root / "test" / "1.png")
    elif what == "one folder":
        make(root / "photos", count=4)
        save(root / "__MACOSX" / "photos" / "cat" / "1.png")
    elif what in ("no class", "no image"):
        save(root / "picture.png")
        for name in ("cat", "dog") if what == "no image" else ():
            (root / name).mkdir()
    elif what == "few":
        # Neither name's hash falls into the tenth.
        save(root / "cat" / "a.png")
        save(root / "dog" / "b.png")
    else:
        make(root, count=4, classes=("cat",) if what == "one class" else ("cat", "dog"))
        for name in ("a.heic", "b.HEIC", "c.tif") if what == "heic" else ():
            (root / "owl").mkdir(exist_ok=True)
            (root / "owl" / name).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("what", "split", "message"),
    [
        ("missing", "train", "nowhere does not exist; write folder:PATH"),
        ("file", "train", "one.png is a file; write folder:PATH"),
        ("no class", "train", "holds no folders; images are looked for in .*CLASS/IMAGE"),
        ("no image", "train", r"holds no images \(.jpg, .*\) in its class folders"),
        ("one class", "train", "holds one class, cat; a classifier needs two or more"),
        ("one folder", "train", r"holds one class, photos; did you mean folder:.*/photos\?"),
        ("heic", "train", "owl holds no image that is read, only 2 .heic, 1 .tif; convert them to JPEG"),
        ("few", "test", "has only 2 images, too few to split by chance; sort them into train/ and test/"),
        (
            "split",
            "test",
            r"has train and no test; write folder:.*/train, of which a tenth is held out, or take slices",
        ),
        ("more", "test", "test has emu besides; it must have no other class folders than .*train"),
        ("unsorted", "test", "test holds images and no class folders; sort them into those of .*train"),
        ("more", "train[x]", r"split is 'train\[x\]'; a slice is written as train\[:90%\]"),
        ("more", "train[5:5]", r"split 'train\[5:5\]' of folder:.* is empty"),
        ("more", "nothing", "unknown split of folder:.* 'nothing'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, what, split, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(wrong(tmp_path, what), split)
    assert "\n" not in str(caught.value)


def test_a_file_that_vanished_is_named_when_it_is_read(tmp_path):
    make(tmp_path)
    source = load(tmp_path, memory_bytes=0)
    for file in tmp_path.rglob("*.png"):
        file.unlink()
    with pytest.raises(tf.errors.OpError, match=r"image\d+\.png; No such file or directory"):
        fetch(source, [0])
