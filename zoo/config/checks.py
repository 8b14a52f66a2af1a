"""What fields of a config do not go together, as far as that can be said without its data."""

from typing import Any

from zoo.config.augmentations import CROP, parse_augmentations
from zoo.config.parsing import TRUNK, parse_freeze, parse_labels, parse_schedule
from zoo.errors import RequestError


def check_together(config: Any) -> None:
    """Raises a `RequestError` unless the fields of a config, each of which may be what it is, go together.

    Args:
        config: an `ExperimentConfig`, whose file imports this one.
    """
    parse_schedule(config.schedule)
    parse_labels(config.labels)
    _check_images(config)
    _check_fine_tuning(config)
    if config.eval_split == "train":
        raise RequestError("eval_split is 'train', which is what the rows of training are called; write train[:100%]")
    if config.ways == 1:
        raise RequestError("ways is 1; an episode needs at least 2 classes, or 0 for no episodes")
    if config.epsilon and config.optimizer == "sgd":
        raise RequestError(f"epsilon is {config.epsilon}; sgd has none")
    if config.nesterov and config.optimizer != "sgd":
        raise RequestError(f"nesterov goes with sgd; optimizer is {config.optimizer!r}")
    if config.warmup_epochs > config.epochs:
        raise RequestError(
            f"warmup_epochs is {config.warmup_epochs:g}; it must be at most epochs, {config.epochs}, or the run ends "
            "before the warm-up does"
        )
    if config.batch_size % config.accumulate_steps:
        raise RequestError(
            f"accumulate_steps is {config.accumulate_steps}; it must divide the batch_size, {config.batch_size}"
        )


def _check_images(config: Any) -> None:
    augmentations = dict(parse_augmentations(config.augment))
    if CROP in augmentations and not config.image_size:
        raise RequestError(f"augment has {CROP}, which needs image_size")
    if config.center_crop and not config.image_size:
        raise RequestError(f"center_crop is {config.center_crop}, which needs image_size")


def _check_fine_tuning(config: Any) -> None:
    if not config.init_weights:
        for name, default in (("init_head", "auto"), ("init_channels", "")):
            if getattr(config, name) != default:
                raise RequestError(f"{name} is {getattr(config, name)!r}, which needs init_weights")
        if config.normalize == "weights":
            raise RequestError("normalize is 'weights', which needs init_weights")
    frozen = parse_freeze(config.freeze)
    if config.unfreeze_epoch and not frozen:
        raise RequestError(f"unfreeze_epoch is {config.unfreeze_epoch}, which needs freeze")
    if config.unfreeze_epoch >= config.epochs:
        raise RequestError(
            f"unfreeze_epoch is {config.unfreeze_epoch}; it must be less than epochs, {config.epochs}; leave it out to "
            "keep frozen what freeze names"
        )
    if config.layer_decay != 1 and config.trunk_rate != 1:
        raise RequestError("layer_decay and trunk_rate both set the rates of layers; give one of them")
    for name in ("layer_decay", "trunk_rate"):
        if getattr(config, name) != 1 and frozen == (TRUNK,) and not config.unfreeze_epoch:
            raise RequestError(
                f"{name} is {getattr(config, name):g}, the rate of layers that freeze=trunk never trains; leave one "
                "of them out"
            )
