"""Keras' side: the zoo's net with Keras' own layers, in `fit` and `predict`, as it comes and tuned.

As it comes: `compile(optimizer, loss, metrics)`, arrays in memory, the batch size, and nothing else. Tuned: many steps
to a call (`steps_per_execution`), XLA for nets without convolutions (on a CPU it makes convolutions ten times slower),
and the number of threads.
"""

import math
import time
from collections.abc import Callable
from importlib import metadata

# Before the zoo, which would switch oneDNN on: who uses Keras has it as TensorFlow itself decides.
import tensorflow as tf

from benchmarks.commands import script_turn
from benchmarks.works import CLASSES, Prepared, Work, examples

STEPS_PER_EXECUTION = 50
# The zoo's layers that stand in for those of Keras.
STAND_INS = {"BatchNormalization": "BatchNormalization", "GroupedConv2D": "Conv2D"}


def prepare(side: str, work: Work, threads: int) -> Prepared:
    """See `Prepared`; `threads`: of one operation, 0: as it comes."""
    versions = {name: metadata.version(name) for name in ("tensorflow", "keras")}
    if work.kind == "start":
        return Prepared(script_turn("minimal_keras.py", work), "a script with `fit`", versions, peak_of="children")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    if work.kind == "input":
        from benchmarks import input_pipeline

        return Prepared(*input_pipeline.usual_turn(work), versions)
    model = plain_net(work)
    method = "fit" if work.kind == "train" else "predict"
    title, settings = f"Keras `{method}`", {}
    if side == "keras_tuned":
        settings["steps_per_execution"] = min(STEPS_PER_EXECUTION, work.steps)
        title += f", steps_per_execution={settings['steps_per_execution']}"
        if not any(len(variable.shape) >= 4 for variable in model.trainable_variables):
            settings["jit_compile"] = True
            title += ", jit_compile"
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return Prepared(net_turn(work, model, settings), title, versions, parameters)


def net_turn(work: Work, model, settings: dict) -> Callable[[], float]:
    """One epoch of `fit` or one `predict`."""
    import keras

    inputs, labels = examples(work)
    data = dict(zip(("left", "right"), inputs, strict=True)) if work.pairs else inputs[0]
    loss = (
        keras.losses.BinaryCrossentropy(from_logits=True)
        if work.pairs
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9) if work.optimizer == "sgd" else keras.optimizers.Adam(1e-3)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], **settings)

    def turn() -> float:
        began = time.perf_counter()
        if work.kind == "train":
            model.fit(data, labels, batch_size=work.batch_size, verbose=0)
        else:
            model.predict(data, batch_size=work.batch_size, verbose=0)
        return time.perf_counter() - began

    return turn


def plain_net(work: Work):
    """The zoo's net with Keras' own layers."""
    import keras

    import zoo

    keras.utils.set_random_seed(0)

    def plain(layer):
        kind = type(layer)
        own = STAND_INS.get(kind.__name__) if kind.__module__ == "zoo.layers" else None
        return (getattr(keras.layers, own) if own else kind).from_config(layer.get_config())

    model = zoo.build_model(work.model, work.image_shape, None if work.pairs else CLASSES, **work.model_args)
    return keras.models.clone_model(model, clone_function=plain, recursive=work.pairs)
