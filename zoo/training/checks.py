"""What does not go together in a run: refused before it begins, or warned of."""

import keras

from zoo.config import ExperimentConfig
from zoo.data import augment
from zoo.errors import RequestError, unknown
from zoo.layers import batch_normalizations, synchronizes
from zoo.tasks.base import Objective
from zoo.training.engines import Backend


def check_batch(config: ExperimentConfig, num_examples: int, replicas: int) -> None:
    """Refuses batches that the examples, the replicas or their parts do not allow."""
    size = config.batch_size
    if size > num_examples:
        raise RequestError(f"batch_size is {size}; the training split has {num_examples} examples; lower batch_size")
    if size % replicas:
        raise RequestError(f"batch_size is {size}; it must be a multiple of the {replicas} replicas")
    if size // replicas % config.accumulate_steps:
        raise RequestError(
            f"accumulate_steps is {config.accumulate_steps}; it must divide each replica's share of the batch, "
            f"{size // replicas}"
        )
    if config.accumulate_steps > 1 and config.sync_batch_norm and replicas > 1:
        raise RequestError(
            "accumulate_steps and sync_batch_norm do not go together on several replicas, since TensorFlow cannot "
            "synchronise within a loop; leave one of them out"
        )
    if augment.make_mixing(config.augment) is not None and size // replicas % 2:
        raise RequestError(
            f"batch_size is {size}; mixup and cutmix mix two neighbours, so each replica's share must be even"
        )


def check_jit(config: ExperimentConfig, model: keras.Model, backend: Backend) -> None:
    """Refuses to compile what cannot be; a TPU compiles everything, and synchronises within."""
    if config.jit != "on" or backend.compiles_everything:
        return
    if config.deterministic and backend.has_gpu:
        raise RequestError(
            "jit=on and deterministic do not go together on a GPU, where XLA has no deterministic gradient of max "
            "pooling; leave one of them out"
        )
    if backend.replicas > 1 and synchronizes(model):
        raise RequestError(
            "jit=on and sync_batch_norm do not go together on several replicas, since XLA cannot compile what "
            "synchronises within; leave one of them out"
        )


def check_batch_normalization(config: ExperimentConfig, model: keras.Model) -> None:
    """Refuses to take statistics anew where there are none."""
    if config.recompute_batch_norm and not batch_normalizations(model):
        left = " but what freeze names" if config.freeze else ""
        raise RequestError(
            f"recompute_batch_norm is {config.recompute_batch_norm}; {config.model} has no batch normalisation{left}, "
            "leave it out"
        )


def unsettled_momentum(config: ExperimentConfig, model: keras.Model, total_steps: int) -> float | None:
    """The momentum of moving statistics that still hold much of what they began with when the run ends.

    After n updates exp(-n (1 - momentum)) of the start is left: five hundredths where the exponent is 3. None where
    the statistics settle, or are taken anew.
    """
    momentum = max((layer.momentum for layer in batch_normalizations(model)), default=None)
    if momentum is None or config.recompute_batch_norm:
        return None
    return None if (1 - momentum) * total_steps * config.accumulate_steps >= 3 else momentum


def check_metrics(config: ExperimentConfig, objective: Objective) -> None:
    """Refuses to watch a metric that there is not."""
    for name in ("keep_best", "early_stop_metric"):
        metric = getattr(config, name)
        if metric and metric not in objective.summary_names:
            raise unknown(f"metric in {name}", metric, objective.summary_names)
