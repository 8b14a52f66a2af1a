"""PyTorch's side: the same net, eager with channels last, or by torch.compile.

Data lie in memory as normalised float32 tensors, height x width x channels, which is channels last already; a batch is
one `index_select` by a permutation. Optimizers are fused, gradients are set to None, and no step waits for a number.
Nets are torchvision's where it is installed and has them, else `torch_nets`.
"""

import shutil
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks import torch_nets
from benchmarks.commands import script_turn
from benchmarks.works import Prepared, Unfit, Work, examples


def prepare(side: str, work: Work, threads: int) -> Prepared:
    """See `Prepared`; `threads`: of one operation, 0: as it comes."""
    versions = {"torch": torch.__version__}
    if work.kind == "start":
        return Prepared(script_turn("minimal_torch.py", work), "a script with a loop", versions, peak_of="children")
    if threads:
        torch.set_num_threads(threads)
    compiled = side == "torch_compile"
    if compiled and not any(map(shutil.which, ("g++", "c++", "clang++"))):
        raise Unfit("torch.compile needs a C++ compiler, and there is none")
    torch.manual_seed(0)
    net, origin = torch_nets.build(work)
    versions |= origin
    net = net.to(memory_format=torch.channels_last)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    turn = training_turn(work, net, compiled) if work.kind == "train" else inference_turn(work, net, compiled)
    title = "PyTorch, torch.compile" if compiled else "PyTorch eager, channels last"
    return Prepared(turn, title, versions, parameters)


def tensors(work: Work) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Images (n, height, width, channels) and labels."""
    inputs, labels = examples(work)
    return [torch.from_numpy(array) for array in inputs], torch.from_numpy(labels)


def channels_first(images: torch.Tensor) -> torch.Tensor:
    """The shape that PyTorch wants, (n, channels, height, width), over the same memory."""
    return images.permute(0, 3, 1, 2)


def training_turn(work: Work, net: nn.Module, compiled: bool) -> Callable[[], float]:
    """One epoch of training."""
    inputs, labels = tensors(work)
    criterion = nn.BCEWithLogitsLoss() if work.pairs else nn.CrossEntropyLoss()
    make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[work.optimizer]
    settings = {"momentum": 0.9} if work.optimizer == "sgd" else {}
    optimizer = make(net.parameters(), lr=1e-3, fused=True, **settings)

    def loss_of(batch, wanted):
        return criterion(net(*map(channels_first, batch)), wanted)

    if compiled:
        loss_of = torch.compile(loss_of)
    net.train()

    def turn() -> float:
        began = time.perf_counter()
        order = torch.randperm(len(labels))
        total = torch.zeros(())
        for start in range(0, len(labels), work.batch_size):
            chosen = order[start : start + work.batch_size]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of([images.index_select(0, chosen) for images in inputs], labels.index_select(0, chosen))
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()
        return time.perf_counter() - began

    return turn


def inference_turn(work: Work, net: nn.Module, compiled: bool) -> Callable[[], float]:
    """The outputs for all examples, batch by batch."""
    inputs, labels = tensors(work)

    def outputs_of(batch):
        return net(*map(channels_first, batch))

    if compiled:
        outputs_of = torch.compile(outputs_of)
    net.eval()

    @torch.inference_mode()
    def turn() -> float:
        began = time.perf_counter()
        outputs = [
            outputs_of([images[start : start + work.batch_size] for images in inputs])
            for start in range(0, len(labels), work.batch_size)
        ]
        torch.cat(outputs)
        return time.perf_counter() - began

    return turn
