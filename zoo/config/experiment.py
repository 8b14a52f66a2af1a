"""The experiment's description: one flat dataclass, of which every field is also a flag of `train.py`.

All that can be said of a field without its data is checked when the dataclass is made.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from zoo import registry
from zoo.config.checks import check_together
from zoo.errors import RequestError, unknown
from zoo.tasks.known import task_names

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
PRECISIONS = ("float32", "bfloat16", "float16")
# A split that takes less is held in memory.
MEMORY_GIB = 2.0
# In how many fixed episodes one-shot accuracy is measured.
EPISODES = 400


def _option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    group: str | None = None,
) -> Any:
    """A field with what `--help` says of it and what it may hold; `group` heads this field and the next ones."""
    rules = {
        "help": help,
        "choices": choices,
        "least": least,
        "most": most,
        "above": above,
        "below": below,
        "group": group,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=rules)
    return dataclasses.field(default=default, metadata=rules)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """Everything that decides the result of a run; where it runs is decided by flags alone.

    Raises:
        RequestError: a field is of the wrong type, out of its range, or names what there is not; the message names
            field, value and what is allowed.
    """

    # The model.
    model: str = _option("simple_cnn", "architecture, see `python -m zoo list`", group="Model")
    model_args: dict[str, Any] = _option({}, "hyperparameters of the model: JSON or key=value,...")
    task: str = _option(
        "",
        "what the model is trained for: classification, multi_output, verification; default: what it was made for",
    )

    # Weights that a run begins with, and what of them it trains.
    init_weights: str = _option(
        "",
        "what the weights begin as: a name of `python -m zoo weights` (timm/resnet50.a1_in1k), a file, or the folder "
        "of a run; default: random",
        group="Fine-tuning",
    )
    init_head: str = _option(
        "auto",
        "the classifier of init_weights: keep it, or a new one; auto: kept where the classes are the same",
        choices=("auto", "keep", "new"),
    )
    init_channels: str = _option(
        "",
        "sum: where init_weights are for colour and the images are grey, the first kernel is summed over its channels",
        choices=("", "sum"),
    )
    freeze: str = _option(
        "",
        "what is not trained: trunk, which is all but the classifier, or patterns of layer names such as "
        "stem*,stage1_*. Frozen batch normalisation is in inference mode; dropout stays as it is",
    )
    unfreeze_epoch: int = _option(
        0, "epochs after which what `freeze` names is trained too, when the classifier has learned; 0: never", least=0
    )
    layer_decay: float = _option(
        1.0,
        "the learning rate of a part of the net, such as a residual block, as a fraction of that of the part after it; "
        "the classifier has the whole rate. weight_decay goes with it",
        above=0,
        most=1,
    )
    trunk_rate: float = _option(
        1.0,
        "the learning rate of all but the classifier as a fraction of the classifier's; weight_decay goes with it",
        above=0,
    )

    # The data.
    dataset: str = _option(
        "digits",
        "digits, glyphs, synthetic:32x32x3,classes=10,examples=50000, folder:PATH, or a name of tensorflow_datasets "
        "(cifar10, imagenet2012:5.1.0, package.module:Builder)",
        group="Data",
    )
    train_split: str = _option("train", "split to train on; slices as in TFDS: train[:90%]")
    eval_split: str = _option("test", "split to evaluate on")
    labels: str = _option(
        "",
        "what is learned: a class label, or for several heads label:weight,label:weight; default: the dataset's own",
    )
    condition: str = _option("", "feature that goes into the second input of a model that takes one")
    image_size: int = _option(0, "height and width that images are brought to; 0: as they are", least=0)
    center_crop: float = _option(
        0.0,
        "the central square of this fraction of the shorter side becomes the image; 0: the whole one, squeezed. Where "
        "training crops at random, this is for evaluation",
        least=0,
        most=1,
    )
    interpolation: str = _option("bilinear", "of resizing", choices=("bilinear", "bicubic"))
    normalize: str = _option(
        "standardize",
        "pixels to [0, 1] (unit), to [-1, 1] (signed), to mean 0 and deviation 1 by channel of the "
        "training split (standardize) or of ImageNet (imagenet), or as init_weights take them (weights)",
        choices=("unit", "signed", "standardize", "imagenet", "weights"),
    )
    augment: str = _option(
        "",
        "augmentations of training images, in order, such as pad_crop:4,flip,cutout:8; also random_resized_crop:AREA, "
        "random_erasing:P, color_jitter:S, affine:DEGREES:SCALE:SHEAR:SHIFT, randaugment:N:M, mixup:A, cutmix:A; of "
        "mixup and cutmix together each batch takes one",
    )
    skip_corrupt_images: bool = _option(False, "leave out images that cannot be decoded; they are counted")

    # Verification.
    margin: float = _option(0.0, "of the contrastive and the triplet loss; 0: 1 and 0.2", least=0, group="Verification")
    ways: int = _option(20, "classes of a one-shot episode; 0: no episodes", least=0)
    shots: int = _option(1, "images that stand for a class in an episode", least=1)
    episode_group: str = _option("", "label that the classes of an episode share, such as alphabet")
    episode_view: str = _option("", "label in which query and support differ where they can, such as typeface")

    # Optimisation.
    batch_size: int = _option(32, "examples per step over all replicas together", least=1, group="Optimisation")
    epochs: int = _option(20, "passes over the training split", least=1, below=10**6)
    optimizer: str = _option("adam", "how gradients become updates", choices=OPTIMIZERS)
    learning_rate: float = _option(1e-3, "the peak rate; never scaled by batch or replicas", above=0)
    momentum: float = _option(0.9, "of sgd and rmsprop", least=0, below=1)
    epsilon: float = _option(0.0, "of adam, adamw and rmsprop; 0: Keras' own, 1e-7", least=0)
    nesterov: bool = _option(False, "Nesterov's momentum in sgd")
    schedule: str = _option(
        "constant",
        "learning rate after warm-up: constant, cosine or linear (to 0), step:EPOCH,EPOCH[:FACTOR]",
    )
    warmup_epochs: float = _option(0.0, "epochs over which the learning rate rises linearly from 0", least=0)
    grad_clip_norm: float = _option(0.0, "largest global norm of the gradient of the loss; 0: no limit", least=0)

    accumulate_steps: int = _option(
        1,
        "parts of the batch that go through the model one after the other before an update, to save memory; batch norm "
        "sees a part at a time",
        least=1,
    )
    ema_decay: float = _option(
        0.0,
        "decay of the moving average of the weights, which is what is evaluated and saved; early on it is "
        "(1 + n) / (10 + n) after n updates, if that is less; 0: no average",
        least=0,
        below=1,
    )
    recompute_batch_norm: int = _option(
        0,
        "training batches over which the statistics of batch normalisation are taken anew before each evaluation, for "
        "runs too short for moving ones; 0: the moving ones",
        least=0,
    )

    # Regularisation.
    l2: float = _option(0.0, "adds l2 * w to the gradient, as in the SGD papers", least=0, group="Regularisation")
    weight_decay: float = _option(0.0, "decoupled: takes learning_rate * weight_decay * w from w", least=0)
    decay_all_parameters: bool = _option(False, "l2 and weight_decay also on biases and normalisation parameters")
    label_smoothing: float = _option(0.0, "weight of the uniform distribution in the labels", least=0, below=1)
    class_weights: str = _option(
        "",
        "balanced: in training an example's loss is multiplied by examples / (classes * examples of its class), so "
        "that rare classes count as much as others; evaluation is not weighted",
        choices=("", "balanced"),
    )

    # Devices.
    cpu_threads: int = _option(
        0,
        "CPU threads of one operation, 0: one per core; nets as small as those for digits are faster with 1",
        least=0,
        group="Devices",
    )
    precision: str = _option(
        "float32",
        "of what layers compute; variables and losses stay float32. float16 scales the loss as far as it goes",
        choices=PRECISIONS,
    )
    deterministic: bool = _option(
        False,
        "let TensorFlow use only operations that repeat to the bit; for GPUs: on a CPU runs repeat without it, and end "
        "with other bits with it",
    )
    sync_batch_norm: bool = _option(False, "batch statistics over all replicas together instead of each alone")
    jit: str = _option(
        "auto",
        "compile with XLA; auto: on GPU and TPU, on CPU for nets without convolutions",
        choices=("auto", "on", "off"),
    )

    # The run.
    seed: int = _option(0, "of initial weights, order, augmentation and dropout", least=0, below=2**32, group="Run")
    eval_every_epochs: int = _option(1, "epochs between evaluations; the last one is always evaluated", least=1)
    checkpoint_every_steps: int = _option(1000, "steps between checkpoints; there is always one at the end", least=1)
    keep_checkpoints: int = _option(3, "how many of the last checkpoints stay", least=2)
    keep_best: str = _option(
        "", "also keep the checkpoint that is best by this metric of the evaluation split, such as accuracy"
    )
    early_stop_metric: str = _option("", "end the run when this metric of the evaluation split stops getting better")
    early_stop_patience: int = _option(5, "evaluations without a better value before the run ends", least=1)
    log_every_steps: int = _option(100, "steps between rows of training metrics within an epoch", least=1)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))
        registry.model_info(self.model)
        if self.task and self.task not in task_names():
            raise unknown("task", self.task, task_names())
        check_together(self)


FIELDS = {field.name: field for field in dataclasses.fields(ExperimentConfig)}


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """The value in the field's type, or an error that names the field, the value and what is allowed."""
    rules = field.metadata
    if field.type is float and type(value) is int:
        value = float(value)
    kind = dict if field.name == "model_args" else field.type
    if type(value) is not kind:
        raise RequestError(f"{field.name} is {value!r}; it must be of type {kind.__name__}")
    if kind is dict:
        return _checked_model_args(value)
    if field.name == "init_weights":
        # A folder is the same with a slash at its end as without, and so is the run.
        return value.rstrip("/") or value
    if rules["choices"] and value not in rules["choices"]:
        raise unknown(field.name, value, rules["choices"])
    for rule, holds, words in (
        ("least", lambda bound: value >= bound, "at least"),
        ("most", lambda bound: value <= bound, "at most"),
        ("above", lambda bound: value > bound, "above"),
        ("below", lambda bound: value < bound, "below"),
    ):
        if rules[rule] is not None and not holds(rules[rule]):
            raise RequestError(f"{field.name} is {value}; it must be {words} {rules[rule]}")
    if kind is float and not math.isfinite(value):
        raise RequestError(f"{field.name} is {value}; it must be finite")
    return value


def _checked_model_args(value: dict[str, Any]) -> dict[str, Any]:
    """A copy as JSON gives it back (lists for tuples), since that is what the run's record will hold."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RequestError(f"model_args is {value!r}; it must be writable as JSON: {error}") from error


def recorded_config(fields: Mapping[str, Any]) -> ExperimentConfig:
    """The config of a run that was recorded, whose model or task may be one that is not known here.

    They were when the run was made: by another package, say, that is not installed now. Its warm-up may be one that
    is refused by now.

    Raises:
        RequestError: another field is wrong.
        TypeError: a field is unknown.
    """
    names = {name: fields[name] for name in ("model", "task", "warmup_epochs") if name in fields}
    config = ExperimentConfig(**{name: value for name, value in fields.items() if name not in names})
    for name, value in names.items():
        object.__setattr__(config, name, _checked(FIELDS[name], value))
    return config


def with_fields(config: ExperimentConfig, fields: Mapping[str, Any]) -> ExperimentConfig:
    """The config with some fields replaced.

    Raises:
        RequestError: there is no such field, or it cannot have the value.
    """
    for name in fields:
        if name not in FIELDS:
            raise unknown("field", name, FIELDS)
    return dataclasses.replace(config, **fields)


def differences(one: ExperimentConfig, other: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs differ, with both values."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in FIELDS}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
