"""What limits a run on many replicas, by arithmetic: the tables of docs/scaling.md.

    python -m benchmarks.scaling

A step takes the time of its computation and then that of its all-reduce, `Setup.compute` and `all_reduce`; nothing
overlaps. Rates of the zoo are those of results/benchmarks.json; each other input has its source beside it. Nothing is
measured here.
"""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import zoo
from zoo.cli import console
from zoo.errors import RequestError

REPLICAS = (1, 8, 64, 512)
FLOAT32 = 4
# An all-reduce that takes less of a step is not called its limit.
NOTICEABLE = 0.1


@dataclasses.dataclass(frozen=True)
class Link:
    """What joins two neighbours of a ring.

    Attributes:
        name: of the link.
        bandwidth: bytes per second in one direction, as its maker states it.
        latency: seconds that one message takes however short it is; assumed, not stated by makers.
    """

    name: str
    bandwidth: float
    latency: float


# NVIDIA A100 data sheet: 600 GB/s, both directions together.
NVLINK = Link("NVLink 3, A100", 300e9, 5e-6)
# PCI-SIG: 16 GT/s a lane, 16 lanes, 128b/130b.
PCIE = Link("PCIe 4.0 x16", 16e9 * 16 / 8 * 128 / 130, 5e-6)
# Google Cloud TPU v5p documentation: 1,200 GB/s a chip, both directions together.
ICI = Link("ICI, TPU v5p", 600e9, 5e-6)
# Line rates; what a transport leaves of them is less.
ETHERNET_100 = Link("100 Gb/s Ethernet", 100e9 / 8, 20e-6)
ETHERNET_25 = Link("25 Gb/s Ethernet", 25e9 / 8, 20e-6)
LINKS = (ICI, NVLINK, PCIE, ETHERNET_100, ETHERNET_25)


@dataclasses.dataclass(frozen=True)
class Setup:
    """A recipe on some kind of replica.

    Attributes:
        title: of its table.
        model: a registered model.
        batch: of the recipe, over all replicas together.
        largest_batch: that has been shown to lose no accuracy.
        rate: images per second of one replica.
        share: examples of a replica where the batch grows with the replicas.
        input_rate: images per second of the data pipeline on one core.
        per_host: replicas of a host.
        cores: of a host.
        within, between: what joins the replicas of a host, and hosts.
    """

    title: str
    model: str
    batch: int
    largest_batch: int
    rate: float
    share: int
    input_rate: float
    per_host: int
    cores: int
    within: Link
    between: Link

    def compute(self, share: float) -> float:
        """Seconds for a replica's share of a batch; small shares really take longer an image than large ones."""
        return share / self.rate

    def link(self, replicas: int) -> Link:
        """The slowest link of the ring, which is as fast as that."""
        return self.within if replicas <= self.per_host else self.between

    def loss(self, replicas: int, share: float) -> float:
        """The part of a step that the all-reduce takes."""
        seconds = all_reduce(gradient_bytes(self.model), replicas, self.link(replicas))
        return seconds / (seconds + self.compute(share))

    def input_cores(self, replicas: int) -> float:
        """Cores of a host that make the batches of its replicas while they compute without a pause."""
        return min(replicas, self.per_host) * self.rate / self.input_rate


# What `python -m benchmarks` measured, and the cores of its machine.
RECORD, CORES = Path(__file__).parents[1] / "results" / "benchmarks.json", 2
# NVIDIA DeepLearningExamples, ResNet50 v1.5 for TensorFlow, DGX A100, TF32 with XLA: images per second of one GPU, of
# eight together, and the batch of a GPU.
A100_RATE, A100_RATE_OF_8, A100_SHARE = 909, 7_000, 256


def measured(work: str) -> float:
    """Images per second of the zoo in a work of `python -m benchmarks`, from its record.

    Raises:
        ValueError: the work is not recorded.
    """
    try:
        return json.loads(RECORD.read_text())["works"][work]["sides"]["zoo"]["images_per_second"]
    except (OSError, KeyError) as error:
        raise RequestError(f"{RECORD} has no {work}; run python -m benchmarks {work}") from error


@functools.cache
def setups() -> tuple[Setup, ...]:
    """The recipes and machines of the tables."""
    return (
        Setup(
            "ResNet-20 on CIFAR-10, a replica is a host with 2 cores",
            "resnet20",
            batch=128,
            # He et al. 2015, arXiv:1512.03385, section 4.2.
            largest_batch=128,
            rate=measured("resnet20"),
            share=128,
            input_rate=measured("input_memory") / CORES,
            per_host=1,
            cores=2,
            within=ETHERNET_25,
            between=ETHERNET_25,
        ),
        Setup(
            "ResNet-50 on ImageNet, a replica is a host with 2 cores",
            "resnet50",
            batch=256,
            # Goyal et al. 2017, arXiv:1706.02677, with the learning rate scaled and warmed up.
            largest_batch=8192,
            rate=measured("resnet50"),
            share=16,
            input_rate=measured("input_jpeg") / CORES,
            per_host=1,
            cores=2,
            within=ETHERNET_25,
            between=ETHERNET_25,
        ),
        Setup(
            "ResNet-50 on ImageNet, a replica is an A100, 8 in a host of 128 cores",
            "resnet50",
            batch=256,
            largest_batch=8192,
            rate=A100_RATE,
            share=A100_SHARE,
            input_rate=measured("input_jpeg") / CORES,
            per_host=8,
            cores=128,
            within=NVLINK,
            between=ETHERNET_100,
        ),
    )


def gradient_bytes(model: str) -> int:
    """What is reduced in a step."""
    return FLOAT32 * zoo.model_info(model).parameters


def all_reduce(size: float, replicas: int, link: Link) -> float:
    """Seconds of a ring all-reduce of `size` bytes.

    Each of n replicas sends 2 (n - 1) messages of size / n bytes one after the other (Patarasuk and Yuan 2009,
    Bandwidth optimal all-reduce algorithms for clusters of workstations).
    """
    messages = 2 * (replicas - 1)
    return messages * (size / replicas / link.bandwidth + link.latency)


def limit(setup: Setup, replicas: int, batch: int) -> str:
    """What keeps a run of this batch from being faster: the first of batch, input, all-reduce, or else computing."""
    if batch % replicas:
        return "batch: does not divide"
    if batch > setup.largest_batch:
        return f"batch: above {setup.largest_batch:,}"
    if setup.input_cores(replicas) > setup.cores:
        return "input"
    return "all-reduce" if setup.loss(replicas, batch / replicas) > NOTICEABLE else "computing"


def all_reduce_table() -> list[str]:
    """Milliseconds by link and replicas, for the gradients of both nets."""
    models = ("resnet20", "resnet50")
    heads = [f"{model}, {n}" for model in models for n in REPLICAS[1:]]
    lines = [f"| all-reduce, ms | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for link in LINKS:
        values = [1000 * all_reduce(gradient_bytes(model), n, link) for model in models for n in REPLICAS[1:]]
        lines.append(f"| {link.name} | {' | '.join(f'{value:.2f}' for value in values)} |")
    return lines


def setup_table(setup: Setup) -> list[str]:
    """What limits a setup at each number of replicas: with the recipe's batch, and with one that grows."""
    lines = [
        f"**{setup.title}**: {setup.rate:,.1f} images/s a replica, {gradient_bytes(setup.model) / 1e6:.2f} MB of "
        f"gradients, {setup.between.name} between hosts.",
        "",
        f"| replicas | cores for input, of {setup.cores} a host | batch stays {setup.batch}: each | efficiency | limit "
        "| batch grows: | efficiency | images/s | limit |",
        "|---|" + "---|" * 8,
    ]
    for n in REPLICAS:
        share = setup.batch / n
        kept = f"{share:g} | {1 - setup.loss(n, share):.1%}" if share >= 1 else "- | -"
        batch, grown = n * setup.share, 1 - setup.loss(n, setup.share)
        lines.append(
            f"| {n} | {setup.input_cores(n):.2g} | {kept} | {limit(setup, n, setup.batch)} "
            f"| {batch:,} | {grown:.1%} | {n * setup.rate * grown:,.0f} | {limit(setup, n, batch)} |"
        )
    return lines


def tables() -> str:
    """All tables, as they stand in docs/scaling.md."""
    a100 = setups()[-1]
    modelled, stated = 1 - a100.loss(8, a100.share), A100_RATE_OF_8 / (8 * A100_RATE)
    parts = [all_reduce_table(), *map(setup_table, setups())]
    check = f"Eight A100 in one host: {modelled:.1%} by the formula, {stated:.1%} as NVIDIA measured it."
    return "\n\n".join(["\n".join(part) for part in parts] + [check])


def main(argv: list[str]) -> None:
    """Prints the tables."""
    console.import_tensorflow()
    print(tables())


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
