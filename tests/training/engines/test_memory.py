"""A device with too little memory: one line that helps, and nothing lost."""

import pytest
import tensorflow as tf

from zoo.cli import console
from zoo.cli.commands import run_train
from zoo.config import ExperimentConfig
from zoo.errors import RunError
from zoo.training.engines.tensorflow import Engine
from zoo.training.engines.tensorflow.memory import is_out_of_memory, memory_shortage_named

EXHAUSTED = tf.errors.ResourceExhaustedError
# As TensorFlow's allocator, XLA and cuDNN say it.
OUT_OF_MEMORY = [
    EXHAUSTED(None, None, "OOM when allocating tensor with shape[2048,64,112,112] and type float on GPU:0"),
    EXHAUSTED(None, None, "Out of memory while trying to allocate 21474836480 bytes."),
    EXHAUSTED(None, None, "failed to allocate memory [Op:AddV2]"),
    tf.errors.InternalError(None, None, "RESOURCE_EXHAUSTED: Failed to allocate request for 1.00GiB"),
    tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
]
OTHERS = [
    EXHAUSTED(None, None, "/runs/events.out; No space left on device"),
    tf.errors.InvalidArgumentError(None, None, "logits and labels must have the same first dimension"),
    ValueError("OOM"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: error.message)
def test_it_is_known_by_its_words(error):
    assert is_out_of_memory(error)
    for parts, said in ((1, "batch_size=24; --accumulate_steps=2 takes"), (2, "=24 in 2 parts; --accumulate_steps=4")):
        config = ExperimentConfig(batch_size=24, accumulate_steps=parts)
        with pytest.raises(RunError, match=said), memory_shortage_named(config):
            raise error


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_stay(error):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)), memory_shortage_named(ExperimentConfig()):
        raise error


def test_the_last_checkpoint_is_whole_and_the_same_command_goes_on(tmp_path, data_dir, monkeypatch, capsys):
    flags = ["--model=mlp", "--epochs=3", "--jit=off", f"--workdir={tmp_path / 'run'}", f"--data_dir={data_dir}"]
    trained = []

    def too_large(engine, block):
        trained.append(block)
        if len(trained) == 2:
            raise OUT_OF_MEMORY[0]
        return train_block(engine, block)

    train_block = Engine.train_block
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train_block", too_large)
        flags += ["--checkpoint_every_steps=11", "--log_every_steps=11"]
        assert console.run(run_train, flags) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: the device has too little memory for batch_size=32; --accumulate_steps=2")
    assert said.endswith(f"the last good state is that of step 11 in {tmp_path / 'run' / 'checkpoints'}")
    assert console.run(run_train, flags) == 0
    assert "going on from the checkpoint of step 11" in "".join(capsys.readouterr())
