"""Folders as people bring them: splits under many names, links, names in any encoding, what systems leave."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from zoo.data.sources import load_source
from zoo.data.sources.example_source import example_names
from zoo.data.transform import Sizing, sized
from zoo.errors import RequestError

AB = ("a", "b")


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def fill(folder, classes=AB, count=2):
    """Images named after the split, if any, so that they tell where they come from."""
    for name in classes:
        for number in range(count):
            save(folder / name / f"{folder.name}{number}.png")
    return folder


def load(root, split="train", memory_bytes=0, **options):
    """Read by index unless told otherwise, which takes the least time."""
    return load_source(f"folder:{root}", split, memory_bytes=memory_bytes, **options)


def names(root, split="train", **options):
    return set(example_names(load(root, split, **options)))


def of(folder, classes=AB, count=2):
    return {f"{folder}/{name}/{folder}{number}.png" for name in classes for number in range(count)}


@pytest.mark.parametrize(
    ("train", "test", "asked"),
    [
        ("train", "test", "test"),
        ("Train", "Test", "test"),
        ("Train", "Test", "Test"),
        ("TRAINING", "Testing", "test"),
        ("training", "validation", "test"),
        ("training", "validation", "val"),
        ("train", "valid", "valid"),
        ("train", "valid", "validation"),
        ("train", "valid", "test"),
        ("train", "dev", "validation"),
        ("training_set", "test_set", "test"),
        ("Training Set", "Test Set", "test"),
        ("train_images", "validation_images", "val"),
        ("train-data", "testset", "testset"),
        ("train", "test1", "test1"),
    ],
)
def test_the_usual_names_in_any_case_are_splits(tmp_path, train, test, asked):
    fill(tmp_path / train)
    fill(tmp_path / test)
    assert names(tmp_path) == of(train)
    assert names(tmp_path, asked) == of(test)
    assert load(tmp_path, asked).features["label"].class_names == AB
    # TFDS' notation of slices has no blanks.
    assert " " in train or names(tmp_path, f"{train}[:1]+{asked}") >= of(test)


def test_test_and_validation_are_told_apart_where_there_are_both(tmp_path):
    for name in ("train", "valid", "test"):
        fill(tmp_path / name)
    assert names(tmp_path, "test") == of("test")
    assert names(tmp_path, "val") == of("valid")


def test_a_validation_split_is_not_the_test_split(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    with pytest.raises(RequestError, match=r"unknown split of folder:.* 'valid'; there is test, train"):
        load(tmp_path, "valid")


def test_either_of_two_validation_splits_must_be_named(tmp_path):
    for name in ("train", "val", "dev"):
        fill(tmp_path / name)
    assert names(tmp_path, "dev") == of("dev")
    with pytest.raises(RequestError, match=r"split test of folder:.* may be dev or val; name one of them"):
        load(tmp_path, "test")


def test_a_folder_without_splits_has_a_held_out_tenth_by_any_name(tmp_path):
    fill(tmp_path / "photos", count=40)
    held_out = names(tmp_path / "photos", "test")
    assert held_out == names(tmp_path / "photos", "valid")
    assert not held_out & names(tmp_path / "photos", "training")


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "bus", "plane"):
        for number in range(20):
            save(tmp_path / name / f"{number}.png")
    train, test = load(tmp_path, "train"), load(tmp_path, "test")
    assert train.features["label"].class_names == test.features["label"].class_names == ("bus", "plane", "train")
    assert train.num_examples + test.num_examples == 60


def ambiguous(root, what):
    if what == "two trainings":
        fill(root / "train")
        fill(root / "Training")
    elif what == "two cases":
        fill(root / "train")
        fill(root / "test")
        fill(root / "Test")
    elif what == "train beside classes":
        fill(root / "train")
        save(root / "bus" / "1.png")
    elif what == "no class folders":
        save(root / "Train" / "1.png")
        save(root / "Test" / "1.png")
    elif what == "no train":
        fill(root / "test")
        save(root / "a" / "1.png")
    elif what == "flat":
        save(root / "train" / "cat.0.jpg")
        save(root / "test1" / "1.jpg")
    elif what == "last words":
        for name in ("seg_train", "seg_test", "seg_pred"):
            fill(root / name / name)
    elif what == "splits in a split":
        fill(root / "train" / "train")
        fill(root / "train" / "val")
    elif what == "splits without train in a split":
        fill(root / "train" / "test")
        fill(root / "train" / "dog")
    elif what == "flat splits in a split":
        save(root / "train" / "training" / "1.png")
        save(root / "train" / "valid" / "1.png")
    elif what == "crossed":
        for name in ("indoor", "outdoor", "studio"):
            fill(root / name)
        fill(root / "studio", "c")
    elif what == "crossed in a split":
        fill(root / "train" / "cat", ("train", "test"))
        fill(root / "train" / "dog", ("train", "test"))
    if what.endswith("in a split"):
        fill(root / "test")
    return root


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("two trainings", "has Training and train, either of which may be train; join them"),
        ("two cases", "has Test and test, either of which may be test; join them"),
        ("train beside classes", "may hold the split train beside bus, or the classes bus, train; rename or move"),
        ("no class folders", "may hold the splits Test, Train without class folders, or classes of these names"),
        ("no train", "may hold the split test without train/, or the class test; rename or move"),
        ("flat", "may hold the splits test1, train without class folders, or classes of these names"),
        ("last words", "may hold the splits seg_test, seg_train without class folders, or classes of these names"),
        ("splits in a split", "train may hold the splits train, val, or the classes of a split; rename or move"),
        ("splits without train in a split", "train may hold the split test without train/, or the class test; rename"),
        ("flat splits in a split", "train may hold the splits training, valid without class folders, or classes of"),
        ("crossed", "may hold the classes indoor, outdoor, studio, or the classes a, b in each of them; rename or"),
        ("crossed in a split", "train may hold the classes cat, dog, or the classes test, train in each of them; "),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_could_be_read_in_two_ways_is_refused_with_both(tmp_path, what, message, split):
    with pytest.raises(RequestError, match=message) as caught:
        load(ambiguous(tmp_path, what), split)
    assert len(str(caught.value).replace(str(tmp_path), "PATH")) < 160


def warnings_of(capsys):
    return [line.removeprefix("warning: ") for line in capsys.readouterr().err.splitlines()]


def test_a_folder_beside_the_splits_is_passed_over_with_a_warning(tmp_path, capsys):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    save(tmp_path / "unlabeled" / "1.png")
    (tmp_path / "docs").mkdir()
    assert names(tmp_path) == of("train")
    assert names(tmp_path, "test") == of("test")
    assert warnings_of(capsys) == [f"{tmp_path} holds splits, so other folders with images are passed over: unlabeled"]


def test_a_class_without_images_in_the_test_split_is_a_class(tmp_path):
    fill(tmp_path / "train", "abc")
    fill(tmp_path / "test", "ab")
    assert load(tmp_path, "test").features["label"].class_names == ("a", "b", "c")
    (tmp_path / "test" / "c").mkdir()
    assert load(tmp_path, "test").features["label"].class_names == ("a", "b", "c")


def test_a_class_of_which_all_images_are_held_out_is_a_warning(tmp_path, capsys):
    fill(tmp_path / "photos", count=40)
    held_out = sorted(name for name in names(tmp_path / "photos", "test") if name.startswith("a/"))[0]
    for file in (tmp_path / "photos" / "a").iterdir():
        if file.name not in held_out:
            file.unlink()
    assert load(tmp_path / "photos").features["label"].class_names == AB
    assert warnings_of(capsys) == [f"split train of folder:{tmp_path / 'photos'} has no images of a"]


def test_what_is_passed_over_is_said_in_one_line_each(tmp_path, capsys):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    (tmp_path / "train" / "empty").mkdir()
    save(tmp_path / "train" / "cover.png")
    for name in ("a/1.heic", "a/2.HEIC", "b/deep/3.tif"):
        (tmp_path / "train" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_bytes(b"")
    assert names(tmp_path) == of("train")
    assert load(tmp_path, "test").features["label"].class_names == AB
    train = tmp_path / "train"
    assert warnings_of(capsys) == [
        f"folders of {train} without images are passed over: empty",
        f"1 images in {train} itself are passed over; images are looked for in its class folders",
        f"3 files of {train} are passed over: 2 .heic, 1 .tif; convert them to JPEG",
    ]


LEFT = ("__MACOSX", "@eaDir", "lost+found", ".ipynb_checkpoints", "$RECYCLE.BIN")


def test_what_systems_leave_is_no_class_and_no_image(tmp_path, capsys):
    fill(tmp_path / "photos", count=20)
    before = names(tmp_path / "photos", "train+test")
    for name in LEFT:
        for place in ("", "a", "a/deep"):
            save(tmp_path / "photos" / place / name / "thumbnail.png")
    for name in ("Thumbs.db", ".DS_Store", "._1.png", "desktop.ini"):
        for place in ("", "a"):
            (tmp_path / "photos" / place / name).write_bytes(b"left")
    assert names(tmp_path / "photos", "train+test") == before
    assert load(tmp_path / "photos").features["label"].class_names == AB
    assert warnings_of(capsys) == []


def test_links_are_followed_but_not_in_circles(tmp_path):
    root = fill(tmp_path / "photos", count=20)
    fill(tmp_path / "elsewhere", ["more"], count=3)
    before = names(root, "train+test")
    (root / "a" / "again").symlink_to(root / "a")
    (root / "a" / "up").symlink_to("..")
    (root / "a" / "itself").symlink_to("itself")
    (root / "b" / "deep").mkdir()
    (root / "b" / "deep" / "top").symlink_to(tmp_path)
    (root / "b" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    added = {f"b/more/elsewhere{number}.png" for number in range(3)}
    assert names(root, "train+test") == before | added


@pytest.mark.parametrize("target", [".", "..", "../photos"])
def test_a_link_back_to_the_root_is_no_class_and_no_split(tmp_path, capsys, target):
    root = fill(tmp_path / "photos", count=20)
    before = names(root, "train+test")
    for name in ("self", "train", "test"):
        (root / name).symlink_to(target)
    assert names(root, "train+test") == before
    assert load(root).features["label"].class_names == AB
    assert warnings_of(capsys) == []


def test_class_folders_that_all_link_to_each_other_hold_their_own_images(tmp_path, capsys):
    classes = [f"c{number}" for number in range(12)]
    root = fill(tmp_path / "photos", classes, count=10)
    before = names(root, "train+test")
    for one in classes:
        for other in classes:
            (root / one / f"to_{other}").symlink_to(f"../{other}")
    assert names(root, "train+test") == before
    first = ", ".join(f"c0/to_c{number}" for number in (1, 10, 11, 2, 3))
    assert warnings_of(capsys) == [f"links of {root} to folders of other classes are passed over: {first} and 127 more"]


def test_a_class_folder_that_leads_to_anothers_images_is_none(tmp_path, capsys):
    root = fill(tmp_path / "photos", count=20)
    fill(tmp_path / "pool", ["deep"], count=20)
    before = names(root, "train+test") | {f"pool/deep/pool{number}.png" for number in range(20)}
    for name, target in (("0", "b"), ("deep", "../pool/deep"), ("pool", "../pool"), ("same", "../pool")):
        (root / name).symlink_to(target)
    assert names(root, "train+test") == before
    assert load(root).features["label"].class_names == ("a", "b", "pool")
    warning = f"links of {root} to folders of other classes are passed over: 0, deep, same"
    assert warnings_of(capsys) == [warning] * 2


def test_in_a_class_each_folder_is_read_once(tmp_path, capsys):
    root = fill(tmp_path / "photos", count=20)
    fill(tmp_path / "elsewhere", ["more"], count=3)
    fill(root / "b", ["zoo"], count=3)
    before = names(root, "train+test")
    (root / "b" / "again").symlink_to("zoo")
    for name in ("one", "two"):
        (root / "b" / name).symlink_to("../../elsewhere/more")
    added = {f"b/one/elsewhere{number}.png" for number in range(3)}
    assert names(root, "train+test") == before | added
    assert warnings_of(capsys) == []


def test_links_of_a_test_split_do_not_cross_classes_either(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", "b")
    (tmp_path / "test" / "a").symlink_to("b")
    assert names(tmp_path, "test") == of("test", "b")


@pytest.mark.parametrize("memory_bytes", [2**30, 0])
def test_a_broken_link_is_named_or_skipped_and_counted(tmp_path, capsys, memory_bytes):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    (tmp_path / "train" / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "train" / "b" / "itself.jpg").symlink_to("itself.jpg")
    (tmp_path / "train" / "b" / "notes.txt").symlink_to("nowhere")
    with pytest.raises(
        RequestError, match=r"(gone|itself)\.jpg \(and 1 more\) is a broken link.*--skip_corrupt_images"
    ):
        load(tmp_path, memory_bytes=memory_bytes)
    assert names(tmp_path, memory_bytes=memory_bytes, skip_corrupt=True) == of("train")
    (line,) = warnings_of(capsys)
    assert line.startswith(f"2 of 6 images of folder:{tmp_path} cannot be decoded and are left out; the first is ")


@pytest.mark.parametrize("memory_bytes", [2**30, 0])
def test_names_need_not_be_utf8(tmp_path, memory_bytes):
    root = os.fsencode(tmp_path / "ph") + b"\xf6tos"
    for split in (b"train", b"test"):
        for name in (b"caf\xe9", "café".encode(), b"tea"):
            os.makedirs(os.path.join(root, split, name))
            Image.new("RGB", (4, 4)).save(os.path.join(root, split, name, b"\xfcber.png"))
    source = load(os.fsdecode(root), memory_bytes=memory_bytes)
    assert source.features["label"].class_names == ("café", "caf\\xe9", "tea")
    expected = {f"train/{name}/\\xfcber.png" for name in source.features["label"].class_names}
    assert set(example_names(source)) == expected
    assert source.fetch(np.arange(3))["image"].shape == (3,)
    # Whatever is said or recorded of it can be written as UTF-8.
    "".join([source.name, source.fingerprint, *source.features["label"].class_names]).encode()
    for number in (b"1", b"2"):
        with open(os.path.join(root, b"train", b"tea", b"\xff" + number + b".png"), "wb"):
            pass
    with pytest.raises(RequestError, match=re.escape("\\xff")) as caught:
        load(os.fsdecode(root), memory_bytes=2**30)
    str(caught.value).encode()


def test_a_pipe_is_not_read(tmp_path):
    fill(tmp_path / "train")
    os.mkfifo(tmp_path / "train" / "a" / "pipe.png")
    assert names(tmp_path) == of("train")


def test_names_stay_with_their_images_through_every_wrapper(tmp_path):
    for number in range(60):
        path = tmp_path / AB[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    (tmp_path / "a" / "0.png").write_bytes(b"damaged")
    for memory_bytes in (2**30, 0):
        source = load(tmp_path, "train+test", memory_bytes=memory_bytes, skip_corrupt=True)
        small = sized(source, Sizing(4), memory_bytes)
        reds = small.fetch(np.arange(small.num_examples))["image"][:, 0, 0, 0].numpy()
        assert example_names(small).tolist() == [f"{AB[red % 2]}/{red}.png" for red in reds]
        assert small.num_examples == 59
    assert example_names(load_source("synthetic:4x4x3,examples=8", "train")) is None
