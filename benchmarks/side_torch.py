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
    if work.kind == "input":
        from benchmarks import photo_loader

        return Prepared(photo_loader.turn(work), photo_loader.TITLE, versions | photo_loader.versions())
    if threads:
        torch.set_num_threads(threads)
    compiled = side == "torch_compile"
    if work.device == "GPU":
        if not torch.cuda.is_available():
            raise Unfit("PyTorch sees no GPU")
        # What its own guide to performance says: try algorithms once, and let products take TF32 as convolutions do.
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    if compiled and not any(map(shutil.which, ("g++", "c++", "clang++"))):
        raise Unfit("torch.compile needs a C++ compiler, and there is none")
    torch.manual_seed(0)
    net, origin = torch_nets.build(work)
    versions |= origin
    net = net.to(device_of(work), memory_format=torch.channels_last)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    turn = training_turn(work, net, compiled) if work.kind == "train" else inference_turn(work, net, compiled)
    title = "PyTorch, torch.compile" if compiled else "PyTorch eager, channels last"
    title += "" if work.precision == "float32" else f", autocast to {work.precision}"
    return Prepared(turn, title, versions, parameters, measured=lambda: gpu_memory(work))


def gpu_memory(work: Work) -> dict[str, float]:
    """The most memory of the card that PyTorch has had in use, in GiB; nothing on a CPU."""
    return {"gpu_peak_gib": torch.cuda.max_memory_allocated() / 2**30} if work.device == "GPU" else {}


def device_of(work: Work) -> str:
    """PyTorch's name for the device of a work."""
    return "cuda" if work.device == "GPU" else "cpu"


def autocast(work: Work) -> torch.autocast:
    """Where half precision is asked for, operations that allow it are computed in it."""
    return torch.autocast(device_of(work), torch.bfloat16, enabled=work.precision == "bfloat16")


def tensors(work: Work) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Images (n, height, width, channels) and labels, on the device."""
    inputs, labels = examples(work)
    device = device_of(work)
    return [torch.from_numpy(array).to(device) for array in inputs], torch.from_numpy(labels).to(device)


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
        with autocast(work):
            return criterion(net(*map(channels_first, batch)), wanted)

    if compiled:
        loss_of = torch.compile(loss_of)
    net.train()

    def turn() -> float:
        began = time.perf_counter()
        order = torch.randperm(len(labels), device=labels.device)
        total = torch.zeros((), device=labels.device)
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
        with autocast(work):
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
        # Copying them back waits for the device.
        torch.cat(outputs).cpu()
        return time.perf_counter() - began

    return turn
