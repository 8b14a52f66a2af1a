"""What must work on every CPU: run by `test_other_cpus` in processes that imitate other ones, so it is no `test_` file.

The tests of layers, engine, data and runs that it runs beside this are those of every day.
"""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import layers, processor
from zoo.config import load_config
from zoo.places.place import Place
from zoo.places.strategy import make_strategy
from zoo.tasks.base import Label
from zoo.tasks.classification import ClassificationObjective
from zoo.training.engines.tensorflow import Engine
from zoo.training.evaluation import evaluate
from zoo.training.loop import train_and_evaluate

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
INFOS = [zoo.model_info(name) for name in zoo.list_models()]
# The smallest of each family, at about the least size that gives a net.
FAMILIES = sorted({info.family: info.name for info in sorted(INFOS, key=lambda info: -info.parameters)}.values())
SHAPES = {
    "alexnet": (63, 63, 3),
    "all_cnn_c": (9, 9, 3),
    "inception_resnet_v2": (75, 75, 3),
    "inception_v3": (75, 75, 3),
    "inception_v4": (75, 75, 3),
    "siamese_koch": (65, 65, 1),
}


def small(name):
    """A net of random weights and two random examples: an array, or by the names of its inputs where it has several."""
    keras.utils.set_random_seed(0)
    own = zoo.model_info(name).input_shape
    model = zoo.build_model(name, SHAPES.get(name, (32, 32, 3) if max(own) >= 224 else None))
    examples = {x.name: RNG.standard_normal((2, *x.shape[1:])).astype("float32") for x in model.inputs}
    return model, examples if len(examples) > 1 else next(iter(examples.values()))


def test_the_cpu_is_another_one():
    """Else all the rest would say nothing."""
    onednn = os.environ.get(processor.ONEDNN) != "0"
    assert processor.facts()["onednn"] == onednn
    # Eigen has no gradient of groups, oneDNN has it on every CPU.
    assert layers._cpu_has_grouped_gradient(tf.float32) == onednn
    limit = os.environ.get(processor.MAX_ISA)
    if onednn and limit:
        code = "import zoo, tensorflow as tf; tf.nn.conv2d(tf.ones([1, 9, 9, 8]), tf.ones([3, 3, 8, 8]), 1, 'SAME')"
        environment = {**os.environ, "ONEDNN_VERBOSE": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
        (used,) = (line for line in done.stdout.splitlines() if ",cpu,isa:" in line)
        assert used.endswith(f" {limit}")
        assert ",exec,cpu,convolution" in done.stdout


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_predicts_and_takes_a_step(name):
    """Predicts in a graph, where kernels are fused that eager calls do not have."""
    model, examples = small(name)
    eager = keras.tree.flatten(model(examples, training=False))
    for one, other in zip(keras.tree.flatten(model.predict(examples, verbose=0)), eager, strict=True):
        # A sum of n products is off by about sqrt(n) u (Higham and Mary 2019, A new approach to probabilistic rounding
        # error analysis); these nets have up to 250 layers with sums of up to 10,000. A wrong kernel changes all.
        np.testing.assert_allclose(one, other, rtol=0, atol=250 * 100 * 2**-24 * np.abs(other).max())
    optimizer = keras.optimizers.SGD(1e-3)
    before = [variable.numpy() for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(model(examples, training=True))
        loss = sum(tf.reduce_sum(y * RNG.standard_normal(y.shape)) for y in outputs)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.isfinite(variable.numpy()).all(), variable.path
        assert np.any(variable.numpy() != old), variable.path


@pytest.mark.parametrize("strategy", ["one_device", "mirrored:2"])
@pytest.mark.parametrize("jit", ["off", "on"])
def test_a_net_with_groups_trains_in_blocks(jit, strategy):
    strategy = make_strategy(Place.parse(strategy))
    keras.utils.set_random_seed(0)
    with strategy.scope():
        image = keras.Input((8, 8, 8), name="image")
        x = layers.GroupedConv2D(8, 3, groups=4, use_bias=False)(image)
        x = keras.layers.ReLU()(layers.BatchNormalization()(x))
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(image, {"logits": keras.layers.Dense(4, name="logits")(x)})
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
    task = ClassificationObjective(Label("label", 4))
    engine = Engine(model, optimizer, task, strategy=strategy, batch_size=8, jit=jit)
    # The same batch over and over: its loss must fall.
    images = np.broadcast_to(RNG.standard_normal((8, 8, 8, 8)).astype("float32"), (10, 8, 8, 8, 8))
    labels = np.broadcast_to(np.arange(8) % 4, (10, 8))
    share = 8 // strategy.num_replicas_in_sync

    def of_replica(context):
        mine = slice(context.replica_id_in_sync_group * share, (context.replica_id_in_sync_group + 1) * share)
        return {"image": tf.constant(images[:, mine]), "label": tf.constant(labels[:, mine])}

    block = {
        name: strategy.experimental_distribute_values_from_function(
            lambda context, name=name: of_replica(context)[name]
        )
        for name in ("image", "label")
    }
    losses = engine.train_block(block)["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_a_graph_written_on_another_cpu_is_served():
    """`test_other_cpus` wrote it with oneDNN as it is by default there, and what the net answered."""
    folder = Path(os.environ["ZOO_TEST_EXPORTED"])
    expected = np.load(folder / "answers.npz")
    loaded = tf.saved_model.load(folder / "graph")
    served = loaded.serve(expected["images"])["logits"]
    # By the same rule, two layers with sums of up to 36 products; ten times it, since this compares single numbers.
    atol = 10 * 2 * 6 * 2**-24 * np.abs(expected["logits"]).max()
    np.testing.assert_allclose(served, expected["logits"], rtol=0, atol=atol)


def test_a_recipe_learns(tmp_path, data_dir):
    config = load_config(str(ROOT / "configs" / "simple_cnn_digits.py"))
    # TensorFlow has started, so its threads are what they are.
    config = dataclasses.replace(config, epochs=2, cpu_threads=0)
    result = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    # Chance is 0.1; the recipe is at 0.98 after forty epochs.
    assert result["metrics"]["test/accuracy"] > 0.5
    again = evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert again["metrics"]["test/accuracy"] == result["metrics"]["test/accuracy"]
