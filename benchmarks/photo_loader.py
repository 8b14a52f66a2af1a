"""The photographs read by PyTorch's `DataLoader`: torchvision's `ImageFolder` and transforms, Pillow, two workers.

It reads the files in folders for the work `jpeg` too, since it has no reader of array_record. Images become uint8
tensors and are not normalised, as on the other sides.
"""

import time
from collections.abc import Callable, Iterator

import PIL
import torch
from torch.utils.data import DataLoader

from benchmarks.torch_nets import import_torchvision
from benchmarks.works import Work, photo_folder

SIDE = 224
WORKERS = 2
TITLE = f"`ImageFolder` in `DataLoader(num_workers={WORKERS}, persistent_workers=True)`"


def versions() -> dict[str, str]:
    """Of what it reads with."""
    return {"torchvision": import_torchvision().__version__, "pillow": PIL.__version__}


def turn(work: Work) -> Callable[[], float]:
    """A turn that takes the work's batches; epochs follow each other within it, and workers stay from turn to turn."""
    import_torchvision()
    from torchvision import datasets, transforms

    augment = {
        "jpeg": [transforms.RandomResizedCrop(SIDE), transforms.RandomHorizontalFlip()],
        "folder": [transforms.Resize((SIDE, SIDE))],
    }[work.model]
    transform = transforms.Compose([*augment, transforms.PILToTensor()])
    loader = DataLoader(
        datasets.ImageFolder(str(photo_folder() / "train"), transform),
        batch_size=work.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    batches = endless(loader)

    def turn() -> float:
        began = time.perf_counter()
        for _ in range(work.steps):
            next(batches)
        return time.perf_counter() - began

    return turn


def endless(loader: DataLoader) -> Iterator[list[torch.Tensor]]:
    """Epoch after epoch."""
    while True:
        yield from loader
