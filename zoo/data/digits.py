"""The `digits` dataset: 1,797 handwritten digits of 8x8 pixels, without a network.

They are the test part of Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI machine
learning repository, CC BY 4.0), as scikit-learn carries them.
"""

import numpy as np
import tensorflow_datasets as tfds

TRAIN_EXAMPLES = 1437


class Digits(tfds.core.GeneratorBasedBuilder):
    """Images (8, 8, 1) uint8 from 0 to 255, labels 0 to 9, in file order.

    `train` is the first 1,437 examples and `test` the last 360. The file is ordered by writer, so the test
    split was written by other people than the training split, which makes it harder than a random one.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The images of scikit-learn, the last 360 as test split."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = None

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
            citation="Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits. "
            "UCI Machine Learning Repository. doi:10.24432/C50P49",
            # File order keeps the writers apart in slices such as train[90%:] too.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing is downloaded
        return {"train": self._generate_examples("train"), "test": self._generate_examples("test")}

    def _generate_examples(self, split):
        from sklearn.datasets import load_digits

        digits = load_digits()
        part = slice(None, TRAIN_EXAMPLES) if split == "train" else slice(TRAIN_EXAMPLES, None)
        # The file has 17 grey levels, 0 to 16.
        images = np.round(digits.images[part, :, :, None] * (255 / 16)).astype(np.uint8)
        for index, (image, label) in enumerate(zip(images, digits.target[part], strict=True)):
            yield index, {"image": image, "label": int(label)}
