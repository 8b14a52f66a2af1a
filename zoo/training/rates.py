"""Learning rates by the parts of a net, and steps that are counted from where a variable began to be trained.

Both lie within the optimizer. Scaling gradients instead would do nothing under Adam or RMSprop, which divide it out
again, and would leave decoupled weight decay as it was.
"""

from collections.abc import Sequence

import keras

from zoo.config import ExperimentConfig
from zoo.training.parts import parts_of


def rate_factors(config: ExperimentConfig, model: keras.Model) -> list[float]:
    """The rate of each of the model's trainable variables as a fraction of the config's learning rate.

    With `layer_decay` a part has `layer_decay` to the power of how many parts come after it, as the layers of a
    transformer have in Clark et al. 2020, ELECTRA, arXiv:2003.10555, and Bao et al. 2021, BEiT, arXiv:2106.08254; with
    `trunk_rate` all but the classifier has that.

    Raises:
        RequestError: the model has no parts.
    """
    if config.layer_decay == config.trunk_rate == 1:
        return [1.0] * len(model.trainable_variables)
    factors = {}
    for part in parts_of(model):
        factor = config.layer_decay**part.parts_after * (1.0 if part.is_classifier else config.trunk_rate)
        factors |= {id(variable): factor for layer in part.layers for variable in layer.weights}
    return [factors[id(variable)] for variable in model.trainable_variables]


def with_rates(
    optimizer: type[keras.optimizers.Optimizer], factors: Sequence[float], late: Sequence[bool]
) -> type[keras.optimizers.Optimizer]:
    """The optimizer with a rate for each variable; the very same where all have the whole rate from the first step.

    Args:
        optimizer: SGD, Adam, AdamW or RMSprop, or a kind of one of them.
        factors: of each variable that it will be built for.
        late: which of them begin to be trained later: `apply` gets the others alone until then.
    """
    kinds = []
    if any(factor != 1 for factor in factors):
        kinds.append(_Rates)
    # The updates of the other optimizers do not depend on how many there have been.
    if any(late) and issubclass(optimizer, keras.optimizers.Adam):
        kinds.append(_Late)
    if not kinds:
        return optimizer
    return type(optimizer.__name__, (*kinds, optimizer), {"factors": tuple(factors), "late": tuple(late)})


class _Rates:
    """Multiplies the rate of a variable by a factor of its own, and with it the rate of decoupled weight decay."""

    factors: tuple[float, ...]

    def _apply_weight_decay(self, variables):
        """Nothing: a variable decays where its rate is known, right before its update, as Keras has the order."""

    def update_step(self, gradient, variable, learning_rate):
        factor = self.factors[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        if factor != 1:
            rate *= factor
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * keras.ops.cast(self.weight_decay, variable.dtype) * rate)
        super().update_step(gradient, variable, rate)


class _Late:
    """Adam whose late variables count their updates from their own first one.

    Adam divides its averages by what they have gathered after so many updates. A variable that begins at update 1,000
    has gathered nothing yet, and its first updates would be three times too large (for the usual decays of 0.9 and
    0.999: 0.1 of the gradient over the root of 0.001 of its square). So its rate is multiplied by the correction for
    its own updates over the correction for all.
    """

    late: tuple[bool, ...]

    def build(self, var_list):
        """Makes the variables, one of which counts the updates without the late ones."""
        if self.built:
            return
        super().build(var_list)
        self.updates_without_late = self.add_variable(
            shape=(), initializer="zeros", dtype="int64", aggregation="only_first_replica", name="updates_without_late"
        )

    def apply(self, grads, trainable_variables=None):
        """Updates the variables that are given."""
        super().apply(grads, trainable_variables)
        if trainable_variables is not None and len(trainable_variables) < len(self.late):
            self.updates_without_late.assign_add(1)

    def update_step(self, gradient, variable, learning_rate):
        if self.late[self._get_variable_index(variable)]:
            number = self.iterations + 1
            learning_rate = keras.ops.cast(learning_rate, variable.dtype)
            learning_rate *= self._correction(number - self.updates_without_late, variable.dtype)
            learning_rate /= self._correction(number, variable.dtype)
        super().update_step(gradient, variable, learning_rate)

    def _correction(self, number, dtype):
        """What Adam multiplies its rate by at the update of this number, from 1."""
        ops = keras.ops
        first, second = (
            1 - ops.power(ops.cast(beta, dtype), ops.cast(number, dtype)) for beta in (self.beta_1, self.beta_2)
        )
        return ops.sqrt(second) / first
