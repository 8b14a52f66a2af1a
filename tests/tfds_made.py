"""TFDS builders that tests make: what they share, and sets of a few images with whatever features are asked for."""

import numpy as np
import tensorflow_datasets as tfds


class MadeBuilder(tfds.core.GeneratorBasedBuilder):
    """What all of them share; TFDS looks for metadata files unless the info is made here."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTERING = True
    SUPERVISED = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(self.features()), supervised_keys=self.SUPERVISED
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}


class Drawn(MadeBuilder):
    """The features and examples that `draw` was given."""

    FEATURES = None
    EXAMPLES = None

    def features(self):
        return self.FEATURES

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.EXAMPLES}

    def _generate_examples(self, split):
        yield from enumerate(self.EXAMPLES[split])


def draw(monkeypatch, features, examples, supervised=None):
    """The name of a dataset of these features; `examples`: by split. TFDS mixes them, in the same order each time."""
    for name, value in (("FEATURES", features), ("SUPERVISED", supervised), ("EXAMPLES", examples)):
        monkeypatch.setattr(Drawn, name, value)
    return f"{__name__}:Drawn"


def pictures(count, shape=(8, 8, 1)):
    """Images of 8 bits, uint8 (count, *shape)."""
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
