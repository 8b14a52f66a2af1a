"""JAX's side, for the small nets: plain JAX with Adam written out.

All steps of a turn are one compiled `lax.scan`; with convolutions each step is a call of its own, since XLA's fast ones
on a CPU are not to be had within a loop. Data lie on the device as normalised float32; a batch is gathered by a
permutation.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable

from benchmarks.works import CLASSES, Prepared, Unfit, Work, examples


def prepare(side: str, work: Work, threads: int) -> Prepared:
    """See `Prepared`; `threads`: 1 for one, 0: as it comes."""
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    elif threads:
        raise Unfit("JAX has no number of threads between one and all")
    import jax

    inputs, labels = examples(work)
    images, labels = jax.numpy.asarray(inputs[0]), jax.numpy.asarray(labels)
    parameters = initial(jax, work)
    make = training_turn if work.kind == "train" else inference_turn
    turn = make(jax, work, functools.partial(logits_of, jax), parameters, images, labels)
    count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    title = "JAX, a jitted call per step" if parameters["convs"] else "JAX, lax.scan"
    return Prepared(turn, title, {"jax": jax.__version__}, count)


def loop(jax, step: Callable, convolutions: bool) -> Callable:
    """Makes `(state, batches) -> (state, results)` of a step, see above."""
    if not convolutions:
        return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches))
    step = jax.jit(step)

    def steps(state, batches):
        results = []
        for batch in batches:
            state, result = step(state, batch)
            results.append(result)
        return state, jax.numpy.stack(results)

    return steps


def initial(jax, work: Work) -> dict:
    """Weights: `convs` of (kernel, scale, offset), `dense` of (kernel, bias)."""
    keys = iter(jax.random.split(jax.random.key(0), 16))
    height, width, channels = work.image_shape
    convs = []
    for filters in work.model_args.get("filters", ()):
        kernel = jax.random.normal(next(keys), (3, 3, channels, filters)) / (9 * channels) ** 0.5
        convs.append((kernel, jax.numpy.ones(filters), jax.numpy.zeros(filters)))
        height, width, channels = height // 2, width // 2, filters
    sizes = [height * width * channels, *work.model_args.get("hidden_sizes", (128,)), CLASSES]
    dense = [
        (jax.random.normal(next(keys), (before, after)) / before**0.5, jax.numpy.zeros(after))
        for before, after in itertools.pairwise(sizes)
    ]
    return {"convs": convs, "dense": dense}


def logits_of(jax, parameters: dict, statistics: list, x, training: bool):
    """Logits, and the moving (mean, variance) of each batch norm."""
    np, lax = jax.numpy, jax.lax
    moved = []
    for (kernel, scale, offset), (mean, variance) in zip(parameters["convs"], statistics, strict=True):
        x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if training:
            own = x.mean((0, 1, 2)), x.var((0, 1, 2))
            moved.append(tuple(0.9 * old + 0.1 * new for old, new in zip((mean, variance), own, strict=True)))
            mean, variance = own
        x = (x - mean) * (scale * lax.rsqrt(variance + 1e-3)) + offset
        x = lax.reduce_window(np.maximum(x, 0), -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(len(x), -1)
    for number, (kernel, bias) in enumerate(parameters["dense"]):
        x = x @ kernel + bias
        if number < len(parameters["dense"]) - 1:
            x = np.maximum(x, 0)
    return x, moved


def training_turn(jax, work: Work, net: Callable, parameters: dict, images, labels) -> Callable[[], float]:
    """One epoch of training with Adam."""
    np = jax.numpy
    statistics = [(np.zeros_like(scale), np.ones_like(scale)) for _, scale, _ in parameters["convs"]]

    def loss_of(parameters, statistics, x, wanted):
        logits, moved = net(parameters, statistics, x, True)
        return -jax.nn.log_softmax(logits)[np.arange(len(wanted)), wanted].mean(), moved

    def step(state, chosen):
        parameters, statistics, first, second, count = state
        inputs = (images[chosen], labels[chosen])
        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, statistics, *inputs)
        count += 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        rate = 1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (np.sqrt(v) + 1e-7), parameters, first, second)
        return (parameters, statistics, first, second, count), loss

    zeros = jax.tree.map(np.zeros_like, parameters)
    state = [(parameters, statistics, zeros, zeros, np.float32(0))]
    epoch = loop(jax, step, bool(parameters["convs"]))

    def turn() -> float:
        began = time.perf_counter()
        order = jax.random.permutation(jax.random.key(0), len(labels))
        state[0], losses = epoch(state[0], order.reshape(-1, work.batch_size))
        losses.block_until_ready()
        return time.perf_counter() - began

    return turn


def inference_turn(jax, work: Work, net: Callable, parameters: dict, images, labels) -> Callable[[], float]:
    """The logits of all images, batch by batch."""
    np = jax.numpy
    statistics = [(np.zeros_like(scale), np.ones_like(scale)) for _, scale, _ in parameters["convs"]]
    batches = images.reshape(-1, work.batch_size, *work.image_shape)
    outputs_of = loop(jax, lambda none, x: (none, net(parameters, statistics, x, False)[0]), bool(parameters["convs"]))

    def turn() -> float:
        began = time.perf_counter()
        outputs_of(None, batches)[1].block_until_ready()
        return time.perf_counter() - began

    return turn
