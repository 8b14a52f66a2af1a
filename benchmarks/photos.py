"""Photographs to read, as a dataset of TFDS and as files: python -m benchmarks.photos writes the files into TMPDIR."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.works import photo_folder

PHOTOS, CLASSES = 1024, 8


class Photos(tfds.core.GeneratorBasedBuilder):
    """JPEGs of about 300x375 cut at random out of the two photographs that scikit-learn carries."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(num_classes=CLASSES)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        for number, content in enumerate(jpegs(PHOTOS if split == "train" else CLASSES)):
            yield number, {"image": content, "label": number % CLASSES}


def jpegs(count: int) -> Iterator[bytes]:
    """Encoded photographs, quality 90, the same in every call."""
    from sklearn.datasets import load_sample_images

    scenes = load_sample_images().images
    rng = np.random.RandomState(0)
    for number in range(count):
        scene = scenes[number % len(scenes)]
        height, width = rng.randint(280, 321), rng.randint(350, 401)
        top, left = rng.randint(scene.shape[0] - height), rng.randint(scene.shape[1] - width)
        yield tf.io.encode_jpeg(scene[top : top + height, left : left + width], quality=90).numpy()


def write_folders() -> None:
    """Writes the photographs into a folder per class, `train` and a few in `test`."""
    for number, content in enumerate(jpegs(PHOTOS)):
        for split in ("train", "test") if number < CLASSES else ("train",):
            file = photo_folder() / split / f"class{number % CLASSES}" / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


if __name__ == "__main__":
    write_folders()
