"""Runs made by hand, and pages read back."""

import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
from matplotlib import image as pictures
from PIL import Image

from zoo.config import ExperimentConfig
from zoo.runs.answers import write_answers
from zoo.runs.workdir import Workdir
from zoo.training.data import open_data

DATASET = "synthetic:9x7x3,classes=4,examples=640"
# What HTML, a shell and mathematics would take for their own.
NAMES = ["<b>one</b>", 'a & "b"', "$x$", "four"]
EMPTY = {"meta", "link", "img", "br"}


def config(**fields):
    return ExperimentConfig(**{"dataset": DATASET, "ways": 0, **fields})


def curve(split="test", values=(0.5, 0.25), **metrics):
    rows = []
    for epoch, value in enumerate(values, 1):
        rows.append({"step": 9 * epoch, "epoch": float(epoch), "split": "train", "loss": value, "learning_rate": 0.1})
        rows.append({"step": 9 * epoch, "epoch": float(epoch), "split": split, "loss": 2 * value, **metrics})
    return rows


def result(config, metrics, **values):
    known = {"wall_seconds": 12.5, "train_seconds": 7.25, "images_per_second": 1234.5, "state_sha256": "ab" * 32}
    about = {"model": config.model, "dataset": config.dataset, "epochs": config.epochs, "seed": config.seed}
    return {**about, "steps": 18, "metrics": metrics, **known, **values}


def workdir(path, config, answers, metrics, *, class_names=None, rows=None, eval_sha256=None, source=None, **values):
    """The folder of a finished run that never was."""
    source = source or open_data(config).evaluation
    folder = Workdir(path)
    with folder.open(config):
        folder.begin(config)
        dataset = {"eval_examples": source.num_examples, "eval_sha256": eval_sha256 or source.fingerprint}
        folder.write_run(
            dataset={**dataset, "class_names": class_names or {"label": NAMES}}, command=["train.py", "<i>"]
        )
        folder.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows or curve(config.eval_split)))
        if answers is not None:
            write_answers(folder.path, answers, {}, {})
        folder.write_result(result(config, metrics, **values))
    return path


def unfinished(path, config, rows):
    """The folder of a run that was stopped before its end; an epoch has 20 steps."""
    workdir(path, config, None, {}, rows=rows)
    (path / "result.json").unlink()
    run = json.loads((path / "run.json").read_text())
    run["dataset"]["train_examples"] = 20 * config.batch_size
    (path / "run.json").write_text(json.dumps(run))
    return path


def record(folder, name, seed, **changed):
    """A record of a run that never was; what is None is left out."""
    own = config(seed=seed)
    whole = {
        "config": name,
        "seed": seed,
        "fields": dataclasses.asdict(own),
        "result": result(own, {"test/accuracy": 0.5 + 0.1 * seed, "train/accuracy": 1.0}),
        "run": {},
        "curve": curve(),
    }
    path = folder / name / f"{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: value for key, value in {**whole, **changed}.items() if value is not None}))
    return path


def texts(svg):
    """The texts of a figure, as a page takes it in."""
    colors = re.sub(r"var\(--\w+\)", "red", svg)
    return [element.text for element in ElementTree.fromstring(colors).iter("text")]


class Page(HTMLParser):
    """A page taken apart; it fails where tags are not balanced.

    Attributes:
        text: of everything, by tag.
        tables: the text of their cells, by what they are called.
        images: pixels by alt text.
        links: every address.
        ids: every id.
    """

    def __init__(self, path):
        super().__init__()
        self.text, self.tables, self.images, self.links, self.ids = {}, {}, {}, [], []
        self._open, self._rows = [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        self.ids += [given["id"]] if "id" in given else []
        if given.get("role") == "region":
            self._rows = self.tables.setdefault(given["aria-label"], [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag == "img":
            packed = base64.b64decode(given["src"].removeprefix("data:image/png;base64,"))
            self.images[given["alt"]] = np.rint(pictures.imread(io.BytesIO(packed)) * 255)[..., :3]
        if tag == "svg":
            assert given["aria-label"]
            assert given["role"] == "img"
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        for tag in set(self._open):
            self.text[tag] = self.text.get(tag, "") + data
        if {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data

    def check_alone(self):
        """Nothing is fetched from elsewhere and nothing is run."""
        inside = ("#", "data:")
        assert all(link.startswith(inside) for link in self.links)
        assert {link[1:] for link in self.links if link.startswith("#")} <= set(self.ids)
        assert "http" not in self.source.replace("http-equiv", "")
        assert "script" not in self.text
        assert "<script" not in self.source


def photo_folder(path, seed=0):
    """A folder as people bring it: 60 photographs of three classes in train/ and test/, which can be told apart.

    Half of them lie as a phone stores them and say so in EXIF data, some are WebP, one in train/ is cut off, and there
    is no owl in test/.
    """
    rng = np.random.default_rng(seed)
    colours = {"cat": (200, 60, 60), "dog": (60, 200, 60), "owl": (60, 60, 200)}
    for number in range(60):
        name = list(colours)[number % 3]
        split = "test" if number >= 45 and name != "owl" else "train"
        height, width = rng.integers(40, 64, 2)
        pixels = np.clip(rng.normal(colours[name], 25, (height, width, 3)), 0, 255).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0112] = (1, 3, 6, 8)[number % 4] if number % 2 else 1
        file = path / split / name / f"IMG_{number:04}.{'webp' if number % 10 == 4 else 'jpg'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, exif=exif)
    broken = path / "train" / "cat" / "IMG_0003.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    return path
