"""A run of a few seconds in this process, and what is done to it at a chosen moment."""

from collections.abc import Callable
from typing import Any

# 11 steps an epoch, 22 in all; checkpoints at 6, 12, 18 and 22.
RUN = (
    "--model=mlp", "--model_args=hidden_sizes=[16],dropout=0.2,batch_norm=true", "--augment=pad_crop:1",
    "--batch_size=128", "--epochs=2", "--checkpoint_every_steps=6", "--log_every_steps=1", "--jit=off",
)  # fmt: skip

# The lines by which this run says what it is about to do, that it is short, and what takes long.
INTRODUCTION = r"(model|data|classes|images|steps|runs on|writes to) |warning: \d+ steps are too few|.* \.\.\.$"


class Killed(BaseException):
    """Stands for SIGKILL: nothing that the run does may catch it."""


def kill() -> None:
    raise Killed


def before_call(monkeypatch, owner: Any, name: str, number: int, act: Callable[[], None]) -> None:
    """Acts before the call of this number, from 1, of a function."""
    function, calls = getattr(owner, name), 0

    def acting(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            act()
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, acting)
