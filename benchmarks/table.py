"""What people read of the record: docs/benchmarks.md and docs/benchmarks.svg.

All of it is made of results/benchmarks.json alone.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.works import WORKS
from zoo.analysis.docs.tables import SIDES, markdown, not_measured, number, slower, spread
from zoo.analysis.runs import charts, figures
from zoo.runs.files import write_atomically

Record = dict[str, Any]
OTHERS = tuple(SIDES)[1:]
# By work and side: how many times faster the zoo is meant to be.
TARGETS = {
    "mlp_digits": {"keras": 15.0, "torch": 5.0},
    "cnn_digits": {"keras": 2.0, "torch": 1.25},
    "mlp": {"keras": 1.6, "torch": 1.05},
    "cnn": {"keras": 1.0, "torch": 1.1},
    "resnet20": {"keras": 1.45, "torch": 1.0},
    "resnet50": {"keras": 1.3, "torch": 1.0},
    "inception_v3": {"keras": 1.2, "torch": 1.05},
    "mlp_digits_inference": {"jax": 0.8},
    "input_jpeg": {"keras": 1.15, "torch": 1.0},
    "input_folder": {"keras": 1.05, "torch": 1.0},
}
# By work: the least fraction of the matrix-product rate, and the most seconds.
FRACTION_TARGETS = {"resnet50": 0.65}
SECOND_TARGETS = {"start_run": 9.0}
PLOT_PIXELS = 520  # wide, where there is room
PLOT_STYLE = (
    "svg{--paper:#fff;--rule:#c8c8c8;color:#1b1b1b;background:var(--paper);font-family:system-ui,sans-serif}"
    "@media(prefers-color-scheme:dark){svg{--paper:#16181b;--rule:#44484d;color:#e8e8e6}}"
)
INTRODUCTION = """# Benchmarks

Made by `python -m benchmarks` of `results/benchmarks.json`, and not by hand. Every side is a process of its own, set up
as its user would have it; all sides of a work take turns in one run, so that a machine that slows down slows all of
them. Figures are medians over the rounds after the first, which is not counted.

- **zoo**: its engine fed by its pipeline from uint8 images in memory, with the threads that the recipe names. The
  pipeline runs on from turn to turn, as it does from epoch to epoch in `train.py`. Inference is what an evaluation is
  from the second one of a run on: its uint8 batches, which the run keeps, are normalised and answered with loss,
  predicted class, its confidence and the rank of the label for every image, where the other sides give logits. Batches
  of the digits are joined to 512 images, as `train.py` joins them.
- **Keras**: the same net with Keras' own layers, `compile(optimizer, loss, metrics)` and `fit(x, y, batch_size)` or
  `predict` on float32 arrays in memory, and nothing else set. **Tuned**: with `steps_per_execution`, XLA where there
  are no convolutions, and, for tiny nets, the better of its own number of threads and the zoo's. Where a step takes
  seconds this changes nothing and is left out.
- **PyTorch**: eager, channels last, fused optimizer; **torch.compile** of net and loss. Float32 tensors in memory, a
  batch is one `index_select`; no step waits for a number. For tiny nets the better of both numbers of threads.
- **JAX**: plain JAX, all steps of a turn in one compiled `lax.scan`; with convolutions a jitted call per step, since
  the convolutions of XLA on a CPU are many times slower within a loop.

`times faster` is the time of a side divided by the zoo's in the same round: the median, the least and the most.
`of matmul` is the rate of the step, 3 x 2 x the forward multiply-accumulates in training and 2 x in inference, divided
by that of a float32 matrix product by NumPy which takes its turn in every round. `of the decoder` is the rate of the
zoo's pipeline divided by that of TensorFlow's JPEG decoder alone, two images at a time from memory, which follows each
of its turns; of crops only what the zoo decodes is decoded. PyTorch reads photographs by `ImageFolder` and `DataLoader`
with two workers, from folders in both works, since it has no reader of array_record. Memory is the largest
resident size of the process, data and libraries included."""
GPU_INTRODUCTION = """Made by `python -m benchmarks.gpu` of `results/gpu.json`. All sides of a work hold the same
card at the same time and take turns on it. **zoo**: its engine, compiled with XLA, fed by its pipeline from uint8
images in the machine's memory; before the clock starts it trains on as many blocks as its pipeline may hold ready.
**PyTorch**: eager and by `torch.compile`, channels last, fused optimizer, cuDNN's algorithms tried once
(`cudnn.benchmark`), TF32 allowed (`set_float32_matmul_precision("high")`), autocast for bfloat16; its data lie on
the card as normalised float32 before the clock starts. In float32 both compute products and convolutions in TF32.
`of matmul` is the rate of the step divided by that of a matrix product of 8192 x 8192 in the same precision by
TensorFlow, which takes its turn in every round."""


def write_all(recorded: Record, folder: Path) -> None:
    """Writes tables and plot. The table of docs/speed.md is made by `python -m zoo document`.

    Args:
        recorded: results/benchmarks.json.
        folder: where docs/ stands, and results/gpu.json if there is one.
    """
    docs, on_gpu = folder / "docs", folder / "results" / "gpu.json"
    docs.mkdir(parents=True, exist_ok=True)
    gpu = json.loads(on_gpu.read_text()) if on_gpu.exists() else None
    write_atomically(docs / "benchmarks.md", document(recorded, gpu).encode())
    write_atomically(docs / "benchmarks.svg", plot(recorded))


def document(recorded: Record, gpu: Record | None = None) -> str:
    """docs/benchmarks.md, of the records of CPU and GPU."""
    machine, works = recorded["machine"], recorded["works"]
    rate = machine["matmul_gflops"]
    where = f"{machine['cores']} cores of {machine['processor']}"
    where += f", {rate:,.0f} GFLOP/s in a float32 matrix product." if rate else "."
    versions = ", ".join(f"{name} {version}" for name, version in sorted(recorded["versions"].items()))
    parts = [INTRODUCTION, f"Machine: {where}\nVersions: {versions}.", "![times faster](benchmarks.svg)"]
    titles = {"train": "Training", "inference": "Inference", "input": "Input pipelines", "start": "From start to end"}
    for kind, title in titles.items():
        if any(work["kind"] == kind for work in works.values()):
            rows = net_table(recorded, kind, OTHERS) if kind in ("train", "inference") else plain_table(recorded, kind)
            parts += [f"## {title}", "\n".join(rows)]
    parts += ["## On a GPU", *on_gpu(gpu)]
    parts += ["## Targets", "\n".join(target_table(works))]
    parts += ["## How each side was set up, and when", "\n".join(setup_table(works)), *absent(works)]
    return "\n\n".join(parts) + "\n"


def net_table(recorded: Record, kind: str, others: tuple[str, ...]) -> list[str]:
    """Rows for the works that have a net: images per second, times faster than the others, what it costs."""
    some = ("zoo", *(side for side in others if side in ("keras", "torch")))
    heads = ["zoo, images/s", *(f"times faster than {SIDES[side]}" for side in others), "of matmul"]
    heads.append(f"peak GiB: {', '.join(SIDES[side] for side in some)}")
    rows = []
    for work in of_kind(recorded, kind):
        sides = work["sides"]
        peaks = ", ".join(number(sides[side]["peak_gib"]) for side in some)
        cells = [number(sides["zoo"]["images_per_second"]), *(spread(sides[side]["times_slower"]) for side in others)]
        rows.append([work["title"], *cells, number(sides["zoo"]["fraction_of_matmul"]), peaks])
    return markdown(["work", *heads], rows)


def on_gpu(recorded: Record | None) -> list[str]:
    """What is said of GPUs: a paragraph, and tables where there is a record."""
    if not recorded:
        return ["Not run on a GPU. `python -m benchmarks.gpu` is how it is done, and writes this part."]
    machine, works = recorded["machine"], recorded["works"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(recorded["versions"].items()))
    others = ("torch", "torch_compile")
    rows = []
    for work in works.values():
        sides = work["sides"]
        peaks = ", ".join(number(sides[side].get("gpu_peak_gib")) for side in ("zoo", *others))
        waiting = sides["zoo"].get("waiting")
        rows.append(
            [
                work["title"],
                number(sides["zoo"]["images_per_second"]),
                *(spread(sides[side]["times_slower"]) for side in others),
                number(sides["zoo"]["fraction_of_matmul"]),
                "-" if waiting is None else f"{100 * waiting:.1f} %",
                peaks,
                f"{work['matmul_gflops'] / 1000:,.0f}",
            ]
        )
    heads = ["work", "zoo, images/s", *(f"times faster than {SIDES[side]}" for side in others), "of matmul"]
    heads += ["waiting for input", "peak GiB of the card: zoo, PyTorch, torch.compile", "matmul, TFLOP/s"]
    return [
        GPU_INTRODUCTION,
        f"Card: {machine['card']}, with {machine['cores']} cores of {machine['processor']}.\nVersions: {versions}.",
        "\n".join(markdown(heads, rows)),
        "### How each side was set up, and when",
        "\n".join(setup_table(works)),
        *absent(works),
    ]


def plain_table(recorded: Record, kind: str) -> list[str]:
    """Rows for the works without a net: what each side does, and times faster."""
    unit = "s" if kind == "start" else "images/s"
    sides = [side for side in SIDES if any(time_of(work["sides"][side]) for work in of_kind(recorded, kind))]
    heads = [f"{SIDES[side]}, {unit}" for side in sides]
    heads += [f"times faster than {SIDES[side]}" for side in sides if side != "zoo"]
    of_decoder = kind == "input"
    heads += ["of the decoder"] * of_decoder
    rows = []
    for work in of_kind(recorded, kind):
        key = "median" if kind == "start" else "images_per_second"
        cells = [number(work["sides"][side][key]) for side in sides]
        cells += [spread(work["sides"][side]["times_slower"]) for side in sides if side != "zoo"]
        cells += [number(work["sides"]["zoo"].get("fraction_of_decoder"))] * of_decoder
        rows.append([work["title"], *cells])
    return markdown(["work", *heads], rows)


def target_table(works: Record) -> list[str]:
    """What is aimed at, and what was measured, or that it was not."""
    rows = []

    def row(name: str, figure: str, target: str, found: float | None, reached: Callable[[float], bool]) -> None:
        verdict = "not measured" if found is None else "yes" if reached(found) else "**no**"
        rows.append([WORKS[name].title, figure, target, number(found), verdict])

    def of(name: str, side: str) -> Record:
        return works[name]["sides"][side] if name in works else {}

    for name, least_of in TARGETS.items():
        for side, least in least_of.items():
            found = (of(name, side).get("times_slower") or {}).get("median")
            row(name, f"times faster than {SIDES[side]}", f">= {least:g}", found, least.__le__)
    for name, least in FRACTION_TARGETS.items():
        row(name, "of matmul", f">= {least:g}", of(name, "zoo").get("fraction_of_matmul"), least.__le__)
    for name, most in SECOND_TARGETS.items():
        row(name, "seconds", f"< {most:g}", of(name, "zoo").get("median"), most.__gt__)
    return markdown(["work", "figure", "target", "measured", "reached"], rows)


def setup_table(works: Record) -> list[str]:
    """How each side was set up, and its time."""
    rows = []
    for work in works.values():
        unit = "s" if work["kind"] == "start" else "ms"
        for side, of in work["sides"].items():
            if time_of(of):
                first = side == "zoo"
                when = f"{work['date']}, {work['rounds']} rounds" if first else ""
                rows.append([work["title"] if first else "", of["title"], f"{spread(of)} {unit}", when])
    return markdown(["work", "side", "a step, or the whole: median (least to most)", "measured"], rows)


def absent(works: Record) -> list[str]:
    """A paragraph with what could not be compared, if anything."""
    lines = [f"- {side}: {why} ({'; '.join(titles)})" for (side, why), titles in not_measured(works.values()).items()]
    return ["\n".join(["Skipped:", "", *lines])] if lines else []


def lines(work: Record) -> list[str]:
    """What the terminal says of a work, a line per side."""
    unit = "s" if work["kind"] == "start" else "ms a step"
    found = []
    for of in work["sides"].values():
        if time_of(of):
            ratio = f", zoo {spread(of['times_slower'])} times faster" if of["times_slower"] else ""
            fraction = f", {of['fraction_of_matmul']:.2f} of matmul" if of["fraction_of_matmul"] else ""
            if of.get("fraction_of_decoder"):
                fraction = f", {of['fraction_of_decoder']:.2f} of the decoder"
            found.append(f"{of['title']}: {number(of['median'])} {unit}{ratio}{fraction}")
    return found


def of_kind(recorded: Record, kind: str) -> list[Record]:
    """The works of a kind."""
    return [work for work in recorded["works"].values() if work["kind"] == kind]


def time_of(side: Record) -> float | None:
    """The median of a side; None where it took no part."""
    return side["median"]


def plot(recorded: Record) -> bytes:
    """A point for each side of each work that has a net: times faster, on a logarithmic axis; an SVG.

    It takes the theme that the reader prefers, and is as wide as a phone, where it stands in a column of text.
    """
    titles = {
        kind: [work["title"].removesuffix(": inference") for work in works]
        for kind in ("train", "inference")
        if (works := of_kind(recorded, kind))
    }
    if not titles:
        return b""
    heights = [charts.ratios_height(of_kind) for of_kind in titles.values()]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(titles), 1, squeeze=False, height_ratios=heights, sharex=True)[:, 0]
        for panel, kind in zip(panels, titles, strict=True):
            charts.ratios(panel, titles[kind], slower(of_kind(recorded, kind)))
            panel.set_title({"train": "Training", "inference": "Inference"}[kind], loc="left")
            panel.label_outer()
        # A side may be in one panel only.
        sides = {name: mark for panel in panels for mark, name in zip(*panel.get_legend_handles_labels(), strict=True)}
        figure.legend(sides.values(), sides.keys(), loc="outside upper left", ncols=2)

    svg = figures.svg(draw, (figures.PANEL[0], 1.8 + sum(heights)), salt="zoo")
    width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    size = f'width="{PLOT_PIXELS}" height="{round(PLOT_PIXELS * height / width)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}'
    return svg.replace("<svg", head, 1).replace(">", f"><style>{PLOT_STYLE}</style>", 1).encode()
