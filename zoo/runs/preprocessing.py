"""What an image goes through before a model can take it: to one size, then `(pixels - mean) / deviation`.

A run records it, whoever uses the model afterwards needs it, and nobody encodes it anywhere else. It comes in four
forms: as JSON, as parts of the data pipeline, as a function of whole batches, and as operations of Keras for export.
TensorFlow is imported only for the last three.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.data.transform import Normalization, Sizing


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a model.

    Attributes:
        image_size: height and width that images are brought to; 0: they are taken as they are.
        center_crop: the central square of this fraction of the shorter side is taken; 0: the whole image, squeezed.
        interpolation: `bilinear` or `bicubic`, of resizing.
        mean: by channel, in levels from 0 to 255.
        deviation: likewise.
    """

    image_size: int
    center_crop: float
    interpolation: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, sizing: "Sizing", normalization: "Normalization") -> "Preprocessing":
        """That of a data pipeline."""
        return cls(
            image_size=sizing.size,
            center_crop=sizing.center_crop,
            interpolation=sizing.interpolation,
            mean=normalization.mean,
            deviation=normalization.deviation,
        )

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> "Preprocessing":
        """What `to_json` gave.

        Raises:
            KeyError: a value is missing.
        """
        values = {field.name: recorded[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**values, "mean": tuple(values["mean"]), "deviation": tuple(values["deviation"])})

    def to_json(self) -> dict[str, Any]:
        """As `run.json` has it."""
        return {**dataclasses.asdict(self), "mean": list(self.mean), "deviation": list(self.deviation)}

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation."""
        return self.mean, self.deviation

    def sizing(self) -> "Sizing":
        """The part of the pipeline that brings stored images to one size."""
        from zoo.data.transform import Sizing

        return Sizing(self.image_size, self.center_crop, self.interpolation)

    def normalization(self) -> "Normalization":
        """The part of the pipeline that makes float32 of levels."""
        from zoo.data.transform import Normalization

        return Normalization(self.mean, self.deviation)

    def __call__(self, stored: Any) -> Any:
        """What the model takes, a tensor float32 (n, height, width, channels).

        Args:
            stored: a tensor, uint8 (n, height, width, channels), or the content of image files, string (n,).
        """
        shape = (None, None, len(self.mean)) if stored.shape.rank == 1 else tuple(stored.shape[1:])
        return self.normalization()(self.sizing()(stored, shape))

    def as_keras(self, images: Any) -> Any:
        """The same by operations of Keras alone, to go into an exported model.

        Args:
            images: levels from 0 to 255 of any dtype, a `KerasTensor` (batch, height, width, channels), of known
                height and width where they are to be resized.

        Returns:
            Float32 of the model's size. After resizing, levels are whole numbers as in the pipeline; one level may be
            another where the pipeline's own resizing comes within rounding of a half.
        """
        from keras import ops

        images = ops.cast(images, "float32")
        if self.center_crop:
            images = self._central_square(images)
        if self.image_size:
            size = (self.image_size, self.image_size)
            # As in `zoo.data.images`: below half the size interpolation alone would leave pixels out.
            antialias = max(images.shape[1:3]) > 2 * self.image_size
            images = ops.image.resize(images, size, interpolation=self.interpolation, antialias=antialias)
            images = ops.clip(ops.floor(images + 0.5), 0.0, 255.0)
        mean, deviation = (ops.convert_to_tensor(values, "float32") for values in self.statistics)
        return (images - mean) * (1 / deviation)

    def _central_square(self, images: Any) -> Any:
        """The central square of images whose size is known."""
        height, width = images.shape[1:3]
        side = max(1, round(self.center_crop * min(height, width)))
        top, left = (height - side) // 2, (width - side) // 2
        return images[:, top : top + side, left : left + side, :]
