"""Learning-rate schedule and optimizer of a config."""

import math
from collections.abc import Sequence

import keras

from zoo.config import ExperimentConfig, parse_schedule
from zoo.training.rates import with_rates


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a config at a step: linear warm-up from 0, then constant, cosine, linear or step.

    Cosine and linear fall to 0 at the last step, counted from the end of the warm-up.

    Args:
        config: the fields learning_rate, schedule, warmup_epochs and epochs are read.
        steps_per_epoch: what turns epochs into steps.
    """

    def __init__(self, config: ExperimentConfig, steps_per_epoch: int):
        self.peak = config.learning_rate
        self.shape, epochs, self.factor = parse_schedule(config.schedule)
        self.drops = [epoch * steps_per_epoch for epoch in epochs]
        self.warmup_steps = config.warmup_epochs * steps_per_epoch
        self.total_steps = config.epochs * steps_per_epoch

        # Counts steps where updates are skipped, see `LossScaleOptimizer`; None: every step is an update.
        self.steps_taken: keras.Variable | None = None

    def __call__(self, step):
        """The rate, a float32 scalar, for the update that follows `step` updates."""
        ops = keras.ops
        step = ops.cast(step if self.steps_taken is None else self.steps_taken, "float32")
        rate = ops.convert_to_tensor(self.peak, "float32")
        done = ops.clip((step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1), 0.0, 1.0)
        if self.shape == "cosine":
            rate *= 0.5 * (1 + ops.cos(math.pi * done))
        elif self.shape == "linear":
            rate *= 1 - done
        if self.drops:
            passed = ops.sum(ops.cast(step >= ops.convert_to_tensor(self.drops, "float32"), "float32"))
            rate *= ops.power(ops.convert_to_tensor(self.factor, "float32"), passed)
        if self.warmup_steps:
            # The first update is a small one rather than none.
            rate *= ops.minimum((step + 1) / self.warmup_steps, 1.0)
        return rate

    def get_config(self):
        """All that decides the rate."""
        return {name: value for name, value in vars(self).items() if name != "steps_taken"}

    @classmethod
    def from_config(cls, config):
        """What `get_config` gave."""
        rate = cls.__new__(cls)
        vars(rate).update(config, steps_taken=None)
        return rate


class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Keras' own, which also counts the steps whose update it skipped, as `steps_taken`.

    Its `iterations` counts updates. A schedule that went by those would stay behind the log at each skipped step, and a
    cosine would never reach its end.
    """

    def build(self, var_list):
        """Makes the variables."""
        super().build(var_list)
        self.steps_taken = self.add_variable(
            shape=(), initializer="zeros", dtype="int64", aggregation="only_first_replica", name="steps_taken"
        )

    def apply(self, grads, trainable_variables=None):
        """Takes a step: an update, or none where a gradient is not finite."""
        super().apply(grads, trainable_variables)
        self.steps_taken.assign_add(1)


def decayed(variable: keras.Variable, config: ExperimentConfig) -> bool:
    """Whether l2 and weight decay act on a variable: on kernels, which have a rank of 2 or more.

    Biases and the scales and offsets of normalisation have rank 1 and are left alone unless the config says
    otherwise (Goyal et al. 2017, arXiv:1706.02677, section 3).
    """
    return config.decay_all_parameters or len(variable.shape) > 1


def make_optimizer(
    config: ExperimentConfig,
    steps_per_epoch: int,
    variables: list[keras.Variable],
    momentum_sgd: type[keras.optimizers.SGD] = keras.optimizers.SGD,
    *,
    factors: Sequence[float] = (),
    late: Sequence[bool] = (),
) -> keras.optimizers.Optimizer:
    """Keras' optimizer of a config, built for the variables.

    With precision float16 it is wrapped into one that scales the loss: it doubles the scale after 2,000 steps, and
    halves it, without an update, where a gradient is not finite (Micikevicius et al. 2017, arXiv:1710.03740, 3.2).
    `weight_decay` is decoupled (Loshchilov and Hutter 2017, arXiv:1711.05101) for each of them; `l2` belongs
    to the gradient and is no business of the optimizer.

    Args:
        config: the fields of its group "Optimisation".
        steps_per_epoch: see `LearningRate`.
        variables: what it updates.
        momentum_sgd: SGD with momentum, where a backend has a faster one than Keras.
        factors: the rate of each variable as a fraction of the config's; none: all have the whole rate.
        late: which of the variables begin to be trained later; none: none.
    """
    # Keras looks a schedule up several times a step; where the rate never changes, a number will do.
    constant = config.schedule == "constant" and not config.warmup_epochs
    rate = config.learning_rate if constant else LearningRate(config, steps_per_epoch)
    kwargs = {"learning_rate": rate, "weight_decay": config.weight_decay or None}
    if config.epsilon:
        kwargs["epsilon"] = config.epsilon
    if config.optimizer == "sgd":
        kind = momentum_sgd if config.momentum else keras.optimizers.SGD
        kwargs |= {"momentum": config.momentum, "nesterov": config.nesterov}
    elif config.optimizer == "rmsprop":
        kind = keras.optimizers.RMSprop
        kwargs["momentum"] = config.momentum
    elif config.optimizer == "adam":
        kind = keras.optimizers.Adam
    else:
        kind = keras.optimizers.AdamW
        kwargs["weight_decay"] = config.weight_decay
    optimizer = with_rates(kind, factors, late)(**kwargs)
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if not decayed(v, config)])
    if config.precision != "float16":
        optimizer.build(variables)
        return optimizer
    scaled = LossScaleOptimizer(optimizer)
    scaled.build(variables)
    if not constant:
        rate.steps_taken = scaled.steps_taken
    return scaled
