"""Makes the files of PyTorch and safetensors that the tests read: `python tests/pretrained/make_files.py`.

It takes PyTorch and safetensors, which the zoo's own tests do not; those of `files/` were made by PyTorch 2.13 and
safetensors 0.8. All values are counted up in steps of a half, see `expected.py`, so that each type holds them exactly.
"""

import argparse
from pathlib import Path

import safetensors.torch
import torch

FILES = Path(__file__).parent / "files"


def counted(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """0, 1/2, 1, ... of a floating type, 0, 1, 2, ... of another."""
    numbers = torch.arange(torch.Size(shape).numel())
    return (
        (numbers / 2 if dtype.is_floating_point else numbers % 2 if dtype == torch.bool else numbers)
        .to(dtype)
        .reshape(shape)
    )


TYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


def every_type() -> dict[str, torch.Tensor]:
    return {str(dtype).removeprefix("torch."): counted(2, 3, dtype=dtype) for dtype in TYPES}


def views() -> dict[str, torch.Tensor]:
    """Tensors that are a part of their storage, or lie in it otherwise than in rows."""
    whole = counted(4, 6)
    return {
        "whole": whole,
        "transposed": whole.t(),
        "rows": whole[1:3],
        "columns": whole[:, 2:4],
        "every_other": whole[::2, 1::2],
        "of_half": counted(3, 5, dtype=torch.bfloat16).t(),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "channels_last": counted(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    }


def net() -> torch.nn.Module:
    made = torch.nn.Sequential()
    made.conv1 = torch.nn.Conv2d(3, 4, 3, bias=False)
    made.bn1 = torch.nn.BatchNorm2d(4)
    made.fc = torch.nn.Linear(4, 2)
    with torch.no_grad():
        for value in made.state_dict().values():
            value.copy_(counted(*value.shape, dtype=value.dtype))
    return made


def checkpoint() -> dict:
    """As training keeps them: the weights of a net in parallel, their averages, and much else."""
    weights = net().state_dict()
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1, momentum=0.9)
    return {
        "epoch": 3,
        "arch": "small",
        "args": argparse.Namespace(lr=0.1, model="small"),
        "optimizer": optimizer.state_dict(),
        "metric": 76.5,
        "state_dict": {f"module.{name}": -value for name, value in weights.items()},
        "state_dict_ema": {f"_orig_mod.module.{name}": value for name, value in weights.items()},
    }


def main() -> None:
    FILES.mkdir(exist_ok=True)
    contents = {"types": every_type(), "views": views(), "net": net().state_dict(), "checkpoint": checkpoint()}
    for name, content in contents.items():
        torch.save(content, FILES / f"{name}.pth")
        torch.save(content, FILES / f"{name}.older.pth", _use_new_zipfile_serialization=False)
    torch.save(dict(net().named_parameters()), FILES / "parameters.pth")
    torch.save({"uint16": counted(2, 3, dtype=torch.uint16)}, FILES / "newer_types.pth")
    torch.save(net().state_dict(), FILES / "protocol_4.pth", pickle_protocol=4)
    torch.save(net(), FILES / "whole_net.pth")
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), FILES / "torchscript.pth")
    safetensors.torch.save_file(every_type(), FILES / "types.safetensors", {"format": "pt"})
    safetensors.torch.save_file(net().state_dict(), FILES / "net.safetensors")


if __name__ == "__main__":
    main()
