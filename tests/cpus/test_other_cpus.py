"""A cross-section of the tests in processes that imitate other CPUs; on a CPU without AVX-512 some imitate itself.

TensorFlow leaves oneDNN off on CPUs without AVX512_VNNI or its like where nobody switches it on, and on Windows; the
limits are those of most laptops.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo import processor
from zoo.layers import BatchNormalization, GroupedConv2D

ROOT = Path(__file__).parents[2]
NO_ONEDNN = {processor.ONEDNN: "0"}
AVX2 = {processor.ONEDNN: "1", processor.MAX_ISA: "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
CPUS = {"no oneDNN": NO_ONEDNN, "AVX2": AVX2, "AVX2 without oneDNN": AVX2 | NO_ONEDNN}
CROSS_SECTION = "tests/cpus/cross_section.py"
# Beside the file above. What is run in half precision stands apart: TensorFlow asks the CPU itself whether it has that,
# not oneDNN's limit, so with oneDNN on only a true CPU of another kind can show it.
ENGINE = "tests/training/engines/test_engine.py::test_"
TESTS = [
    "tests/test_layers.py",
    "tests/data/test_randomness.py::test_steady_functions_give_the_same_bits_alone_and_among_others",
    "tests/data/test_pipeline.py::test_nothing_but_the_step_matters",
    "tests/data/test_pipeline.py::test_evaluation_counts_every_example_once_and_in_order",
    f"{ENGINE}a_block_is_its_steps_one_after_the_other",
    f"{ENGINE}evaluation_answers_what_has_weight_in_order",
    f"{ENGINE}two_replicas_take_the_step_of_one",
    "tests/training/test_loop.py::test_mirrored_with_synchronised_batch_norm_is_one_device",
]
HALF_PRECISION = "half_precision or mixed_precision or mixed_float16 or mixed_bfloat16"
# Half the time of all families. They call nothing that others do not, so one kind of CPU is enough for them.
DEEP = ["inception_resnet_v2", "inception_v4", "inception_v3", "densenet_bc_100_12"]
HALF_PRECISION_TESTS = ["tests/models/test_contract.py::test_logits_are_float32_under_mixed_precision"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A graph that this process writes, with oneDNN as it is here, and what the net answered."""
    folder = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 8), name="image")
    x = GroupedConv2D(8, 3, groups=4, use_bias=False, padding="same")(image)
    x = keras.layers.ReLU()(BatchNormalization()(x))
    model = keras.Model(image, {"logits": GroupedConv2D(4, 3, groups=2, activation="relu")(x)})
    images = np.random.default_rng(0).standard_normal((3, 8, 8, 8)).astype("float32")
    np.savez(folder / "answers.npz", images=images, logits=model(images)["logits"])
    model.export(folder / "graph", verbose=False)
    return folder


def run(imitation, exported, tests, *arguments):
    """Runs tests in a process that imitates a CPU.

    Returns:
        By the test's name `passed`, or what it said; and all that pytest printed.
    """
    report = exported / "report.xml"
    report.unlink(missing_ok=True)
    # It is no worker of this test run, and hands its tests out to nobody.
    foreign = ("ONEDNN_", "DNNL_", "PYTEST_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            f"--junit-xml={report}",
            *arguments,
            *tests,
        ],
        env=own | {"ZOO_TEST_EXPORTED": str(exported)} | imitation,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert report.exists(), done.stdout + done.stderr
    cases = xml.etree.ElementTree.parse(report).iter("testcase")
    # A case without anything in it is one that passed: failures, errors and skips stand there.
    results = {case.get("name"): "".join(f"{p.get('message')}\n{p.text}" for p in case) or "passed" for case in cases}
    return results, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_a_cross_section_passes(cpu, exported):
    half = cpu != "AVX2"
    chosen = [] if half else ["-k", f"not ({HALF_PRECISION})"]
    deep = [] if cpu == "no oneDNN" else DEEP
    chosen += [f"--deselect={CROSS_SECTION}::test_a_family_predicts_and_takes_a_step[{name}]" for name in deep]
    tests = [CROSS_SECTION, *TESTS, *(HALF_PRECISION_TESTS if half else [])]
    results, output = run(CPUS[cpu], exported, tests, *chosen)
    wrong = {name: said for name, said in results.items() if said != "passed"}
    assert not wrong, output
    # Nothing was left out without a word.
    families = {zoo.model_info(name).family for name in zoo.list_models()}
    names = [name.partition("[")[0] for name in results]
    assert names.count("test_a_family_predicts_and_takes_a_step") == len(families) - len(deep)
    asked = {node.rpartition("::")[2] for node in tests if "::" in node}
    own = {"test_the_cpu_is_another_one", "test_a_recipe_learns", "test_a_graph_written_on_another_cpu_is_served"}
    assert asked | own | {"test_grouped_convolution_is_split_and_concatenate"} <= {*names}


@pytest.mark.slow
def test_the_cross_section_sees_an_operation_that_a_cpu_lacks(exported):
    """The bare grouped operation fails without oneDNN, in the gradient and where a graph is optimised."""
    tests = [
        "tests/test_layers.py::test_grouped_convolution_is_split_and_concatenate",
        f"{CROSS_SECTION}::test_a_net_with_groups_trains_in_blocks",
        f"{CROSS_SECTION}::test_a_family_predicts_and_takes_a_step[resnext50_32x4d]",
        f"{CROSS_SECTION}::test_a_family_predicts_and_takes_a_step[lenet5]",
    ]
    results, output = run(NO_ONEDNN, exported, tests, "-p", "tests.cpus.raw_groups")
    passed = {name for name, said in results.items() if said == "passed"}
    # XLA has groups of its own, LeNet has none.
    assert passed == {
        "test_a_net_with_groups_trains_in_blocks[on-one_device]",
        "test_a_net_with_groups_trains_in_blocks[on-mirrored:2]",
        "test_a_family_predicts_and_takes_a_step[lenet5]",
    }, output
    assert "Gradients for grouped convolutions are not supported on CPU" in output
    assert "Fused conv implementation does not support grouped convolutions" in output
