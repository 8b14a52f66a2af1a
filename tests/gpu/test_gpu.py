"""What must be right on a GPU: python -m pytest -m gpu

Where TensorFlow sees no GPU the same is played on the CPU with fewer nets. That is a rehearsal of the tests and proves
nothing of a GPU. The layers, the engine and the precisions have tests of their own with the same mark.
"""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from kills import Job, Kill, difference, result

import zoo
from benchmarks.loopback import finish
from zoo.layers import all_layers
from zoo.places.strategy import gpus

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ON_GPU = bool(tf.config.list_physical_devices("GPU"))
DEVICE = "/GPU:0" if ON_GPU else "/CPU:0"
# Nothing but a GPU can answer for these.
needs_gpu = pytest.mark.skipif(not ON_GPU, reason="TensorFlow sees no GPU")
INFOS = [zoo.model_info(name) for name in zoo.list_models()]
# The smallest net of each family.
NETS = sorted(
    min((info.parameters, info.name) for info in INFOS if info.family == family)[1]
    for family in {info.family for info in INFOS}
)
REHEARSED = {"lenet5", "simple_cnn", "resnet20", "siamese"}
# Kinds of graphs that XLA takes apart in ways of its own: branches, groups, two towers, dense connections.
COMPILED = {"mlp", "simple_cnn", "resnet20", "resnext50_32x4d", "googlenet", "siamese", "densenet_bc_100_12"}
# Rounding differs by the order of sums and by the algorithm: Winograd's convolutions lose up to two digits more. A
# kernel that computes something else is off by as much as the values themselves.
TIMES_THE_ROUNDING_OF_THE_CPU = 100
# The gradient jumps where a rounded number lies on the other side of a ReLU's zero, or another pixel of a pool is the
# largest: one unit of some ten thousand is a part in a hundred of the gradient's length. Which nets meet it is chance.
KINKS = 0.03
RNG = np.random.default_rng(0)


def made(name: str, device: str, dtype: str) -> keras.Model:
    """A net on a device, without dropout, whose masks are drawn in another way on each kind of device."""
    info = zoo.model_info(name)
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    with tf.device(device):
        model = zoo.build_model(name, (96, 96, 3) if max(info.input_shape) >= 224 else None)
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def examples(model: keras.Model) -> dict[str, np.ndarray]:
    """Inputs of a few examples, by name."""
    found = {}
    for tensor in model.inputs:
        shape = (4, *tensor.shape[1:])
        whole = not tensor.dtype.startswith("float")
        found[tensor.name] = np.zeros(shape, tensor.dtype) if whole else RNG.uniform(-1, 1, shape)
    return found


def outputs_and_gradient(model, inputs, device, *, jit=False) -> tuple[np.ndarray, np.ndarray]:
    """All outputs, and the gradient of a weighted sum of them by all variables, each as one vector."""
    weighing = np.random.default_rng(1)
    # The last maps of large nets have a few pixels here. Batch statistics of so few amplify rounding until nothing is
    # left to compare: in Inception-v4 float32 and float64 then differ by a tenth on a CPU.
    training = max(zoo.model_info(model.name).input_shape) < 224

    def both():
        given = {
            name: tf.cast(value, tensor.dtype)
            for (name, value), tensor in zip(inputs.items(), model.inputs, strict=True)
        }
        with tf.GradientTape() as tape:
            outputs = model(given if len(given) > 1 else next(iter(given.values())), training=training)
            flat = [tf.reshape(tf.cast(value, "float64"), [-1]) for value in tf.nest.flatten(outputs)]
            loss = tf.add_n([tf.reduce_sum(value * weighing.standard_normal(value.shape)) for value in flat])
        gradient = tape.gradient(loss, model.trainable_variables)
        return tf.concat(flat, 0), tf.concat([tf.reshape(tf.cast(g, "float64"), [-1]) for g in gradient], 0)

    with tf.device(device):
        return tuple(value.numpy() for value in tf.function(both, jit_compile=jit, autograph=False)())


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """The length of the difference as a part of the length of the other."""
    assert np.isfinite(one).all()
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.parametrize(
    ("name", "jit"),
    [(name, jit) for name in NETS for jit in (False, True) if name in COMPILED or not jit]
    if ON_GPU
    else [(name, False) for name in NETS if name in REHEARSED],
)
def test_a_net_computes_on_the_device_what_it_computes_on_the_cpu(name, jit, restore_dtype_policy):
    """Both are held against float64 on the CPU: how far float32 may be from it is what the CPU shows."""
    exact = made(name, "/CPU:0", "float64")
    inputs = examples(exact)
    expected = outputs_and_gradient(exact, inputs, "/CPU:0")
    distances = {}
    for device in dict.fromkeys(("/CPU:0", DEVICE)):
        model = made(name, device, "float32")
        model.set_weights(exact.get_weights())
        found = outputs_and_gradient(model, inputs, device, jit=jit and device == DEVICE)
        distances[device] = [distance(one, other) for one, other in zip(found, expected, strict=True)]
    # Otherwise nothing could be wrong enough.
    assert distances["/CPU:0"][0] < 1e-4
    assert distances["/CPU:0"][1] < KINKS
    for on_cpu, on_device, least in zip(
        distances["/CPU:0"],
        distances[DEVICE],
        (np.finfo(np.float32).eps, KINKS / TIMES_THE_ROUNDING_OF_THE_CPU),
        strict=True,
    ):
        # No output in float32 is nearer than its own rounding.
        assert on_device <= TIMES_THE_ROUNDING_OF_THE_CPU * max(on_cpu, least)


def train(workdir, data_dir, *flags, before="") -> subprocess.CompletedProcess:
    """Runs train.py in a process of its own, after some code."""
    imports = "import sys\nfrom zoo.cli import console\nfrom zoo.cli.commands import run_train"
    code = f"{imports}\n{before}\nsys.exit(console.run(run_train, sys.argv[1:]))"
    argv = [sys.executable, "-c", code, f"--workdir={workdir}", f"--data_dir={data_dir}", *flags]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def deterministic_runs(tmp_path_factory, data_dir):
    """Workdirs of the same run twice, and of one that was killed and went on."""
    folder = tmp_path_factory.mktemp("deterministic")
    jobs = [Job(folder / str(number), data_dir, flags=("--deterministic",)) for number in range(3)]
    jobs[0].finish()
    processes = jobs[1].start()
    assert jobs[2].kill(Kill("training", step=100))
    jobs[2].finish()
    finish(processes, 300)
    return [job.workdir for job in jobs]


def test_deterministic_runs_have_the_same_bits(deterministic_runs):
    assert difference(deterministic_runs[1], deterministic_runs[0]) == ""


def test_a_deterministic_run_that_was_killed_ends_with_the_same_bits(deterministic_runs):
    assert difference(deterministic_runs[2], deterministic_runs[0]) == ""


def test_one_mirrored_device_is_one_device(tmp_path, data_dir):
    """Up to rounding: XLA compiles the whole block of one device, of a mirrored one the gradient alone."""
    flags = ("--model=simple_cnn", "--epochs=1", "--optimizer=sgd", "--learning_rate=0.001", "--deterministic")
    for name, strategy in (("one", "one_device"), ("mirrored", "mirrored:1")):
        done = train(tmp_path / name, data_dir, *flags, f"--strategy={strategy}")
        assert done.returncode == 0, done.stderr
    one, mirrored = (result(tmp_path / name)["metrics"]["train/loss"] for name in ("one", "mirrored"))
    assert mirrored == pytest.approx(one, rel=1e-3)
    run = json.loads((tmp_path / "mirrored" / "run.json").read_text())
    assert run["replicas"] == 1
    assert run["strategy"] == "mirrored"
    assert len(run["hardware"]["gpus"]) == ON_GPU


@pytest.mark.parametrize(
    ("precision", "jit"),
    [(precision, jit) for precision in ("float32", "bfloat16", "float16") for jit in ("auto", "off")]
    if ON_GPU
    else [("bfloat16", "auto")],
)
def test_every_precision_learns(tmp_path, data_dir, precision, jit):
    done = train(
        tmp_path / "run", data_dir, "--model=simple_cnn", "--epochs=4", f"--precision={precision}", f"--jit={jit}"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["xla"] == (ON_GPU and jit == "auto")
    # Chance is 0.1; four epochs reach 0.8 and more.
    assert result(tmp_path / "run")["metrics"]["test/accuracy"] > 0.6


@needs_gpu
def test_more_devices_than_there_are_is_one_line(tmp_path, data_dir):
    wanted = len(tf.config.list_physical_devices("GPU")) + 1
    done = train(tmp_path / "run", data_dir, f"--strategy=mirrored:{wanted}")
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: ")
    assert f"take mirrored:{wanted - 1}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


# TensorFlow's own pool of the card's memory is made so small.
LITTLE = """
console.import_tensorflow()
import tensorflow as tf
limit = tf.config.LogicalDeviceConfiguration(memory_limit=700)
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("GPU")[0], [limit])
"""
LARGE_NET = (
    *("--model=resnet18", "--dataset=synthetic:64x64x3,classes=10,examples=2048", "--batch_size=1024"),
    *("--optimizer=sgd", "--learning_rate=0.001"),
)


@needs_gpu
def test_too_little_memory_is_one_line_and_leaves_the_checkpoint(tmp_path, data_dir):
    workdir = tmp_path / "run"
    assert train(workdir, data_dir, *LARGE_NET, "--epochs=1").returncode == 0
    done = train(workdir, data_dir, *LARGE_NET, "--epochs=2", before=LITTLE)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: the device has too little memory for batch_size=1024; --accumulate_steps=2")
    assert "the last good state is that of step 2" in last
    assert "Traceback" not in done.stderr
    done = train(workdir, data_dir, *LARGE_NET, "--epochs=2")
    assert done.returncode == 0, done.stderr
    assert result(workdir)["steps"] == 4


# How much of the card a tiny product takes.
TAKEN = """
from zoo.cli import console
console.import_tensorflow()
import subprocess
import tensorflow as tf
ASK = ["nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
def used():
    return [int(part) for part in subprocess.check_output(ASK, text=True).splitlines()[0].split(",")]
before, total = used()
tf.random.normal([8, 8]) @ tf.random.normal([8, 8])
print((used()[0] - before) / total)
"""


@needs_gpu
def test_memory_is_taken_as_it_is_needed():
    done = subprocess.run([sys.executable, "-c", TAKEN], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.2


@needs_gpu
def test_the_card_is_recorded():
    assert all(card["name"] != "unknown" and card["compute_capability"] for card in gpus())
