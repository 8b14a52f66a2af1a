"""Cards of the model families and the regions of README and docs/, from registry, recipes, records and graphs.

A page is written by hand but for its regions: what stands between `<!-- NAME -->` and `<!-- end of NAME -->` is made
here, everything else is left alone. A family without a card gets one of regions only. The figure of a card is a file
beside it, and its region says what is drawn: `<!-- figure: MODEL PIECE -->`, with the beginning of the names of the
piece's layers, as `zoo.analysis.nets.diagram.draw` takes it; without a piece it is the whole model.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from zoo import registry
from zoo.analysis.docs import readme, tables, two_styles
from zoo.analysis.docs.subjects import families, measured_text, recipes_by_family
from zoo.analysis.nets import diagram, graph
from zoo.analysis.nets.facts import facts
from zoo.baselines import recipes as recipe_files
from zoo.baselines.recipes import NOT_RUN, Recipe
from zoo.errors import RequestError
from zoo.pretrained import catalog
from zoo.registry import ModelInfo
from zoo.runs.files import write_atomically, writing

ROOT = recipe_files.ROOT
CARDS = ROOT / "docs" / "models"
REGION = re.compile(
    r"(?P<begin><!-- (?P<name>[a-z]+)(?:: (?P<asked>.*))? -->\n)(?:.*\n)*?(?P<end><!-- end of (?P=name) -->)"
)
# The card of a family that nobody has written about.
TEMPLATE = """# {family}

<!-- What stands between markers is made by python -m zoo document; the rest is written by hand. -->

<!-- summary -->
<!-- end of summary -->

## Block

<!-- figure: {model} -->
<!-- end of figure -->

## Style

<!-- style -->
<!-- end of style -->

## Models

<!-- models -->
<!-- end of models -->

## Baselines

<!-- baselines -->
<!-- end of baselines -->

## Build and train

<!-- use -->
<!-- end of use -->
"""
# A whole model of more boxes than this is no figure.
MOST_BOXES = 40


def pages(seen: Collection[str] | None = None) -> dict[Path, str]:
    """What the cards, their figures and the pages of `readme.PAGES` should hold; reads files, writes none.

    Args:
        seen: the families of which a model is built, for its figure and what its graph says; the cards of the others
            keep these two as they are, and so does the README's picture without its two. None: all of them.

    Raises:
        RequestError: a page lacks a region, or there is a file of no family, or the repository is not here.
    """
    written = {ROOT / page: makers for page, makers in readme.PAGES.items()}
    for path in written:
        if not path.is_file():
            raise RequestError(f"there is no {_shown(path)} in {ROOT}; work in a clone, after pip install -e .")
    models_of, recipes = families(), recipes_by_family()
    cards = {f"{family}{suffix}" for family in models_of for suffix in (".md", ".svg")}
    strange = sorted(file.name for file in CARDS.glob("*") if file.name not in cards)
    if strange:
        raise RequestError(f"docs/models has files of no family: {', '.join(strange)}; remove them")
    made: dict[Path, str] = {}
    for family, models in models_of.items():
        made |= card(family, models, recipes.get(family, []), seen is None or family in seen)
    made |= {path: text for path, text in registry.index_to_write().items() if path.is_relative_to(ROOT)}
    if seen is None or {*two_styles.FAMILIES} <= {*seen}:
        made[ROOT / two_styles.FILE] = two_styles.drawn()
    return made | {path: filled(path, path.read_text(encoding="utf-8"), makers) for path, makers in written.items()}


def stale(seen: Collection[str] | None = None) -> list[str]:
    """The files that do not hold what they should, as paths from the top of the repository; see `pages`."""
    return [_shown(path) for path, text in pages(seen).items() if not _holds(path, text)]


def write(seen: Collection[str] | None = None) -> list[str]:
    """Writes the files that do not hold what they should and gives their paths; see `pages`."""
    made = {path: text for path, text in pages(seen).items() if not _holds(path, text)}
    with writing(CARDS):
        CARDS.mkdir(parents=True, exist_ok=True)
    for path, text in made.items():
        write_atomically(path, text.encode())
    return [_shown(path) for path in made]


def _shown(path: Path) -> str:
    return os.path.relpath(path, ROOT)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def filled(path: Path, text: str, makers: dict[str, Callable[[], str]]) -> str:
    """A page with its regions made anew.

    Args:
        path: of the page, for messages.
        text: of the page as it is.
        makers: name of a region -> what makes it; other regions stay as they are.

    Raises:
        RequestError: a region is missing.
    """
    missing = makers.keys() - {region["name"] for region in REGION.finditer(text)}
    if missing:
        name = min(missing)
        raise RequestError(
            f"{_shown(path)} has no lines <!-- {name} --> and <!-- end of {name} -->; "
            "what stands between them is made by python -m zoo document"
        )

    def new(region: re.Match) -> str:
        if region["name"] not in makers:
            return region[0]
        content = makers[region["name"]]()
        return region["begin"] + (f"\n{content}\n\n" if content else "") + region["end"]

    return REGION.sub(new, text)


def card(family: str, models: list[ModelInfo], recipes: list[Recipe], seen: bool) -> dict[Path, str]:
    """The card of a family and, where it has one, its figure.

    Args:
        family: its name.
        models: of the family.
        recipes: for them.
        seen: whether a model is built; else the card keeps its figure and its style.
    """
    path, picture = CARDS / f"{family}.md", CARDS / f"{family}.svg"
    text = path.read_text(encoding="utf-8") if path.is_file() else TEMPLATE.format(family=family, model=models[0].name)
    asked = next((region["asked"] or "" for region in REGION.finditer(text) if region["name"] == "figure"), "")
    name, _, piece = asked.partition(" ")
    if name not in [info.name for info in models]:
        raise RequestError(
            f"docs/models/{family}.md must ask for a figure of one of its models, as <!-- figure: MODEL -->"
        )
    makers = {
        "summary": lambda: summary(models),
        "models": lambda: models_text(models),
        "baselines": lambda: baselines_text(recipes),
        "use": lambda: use_text(registry.model_info(name), recipes),
    }
    if not seen:
        return {path: filled(path, text, makers)}
    drawn, graph_facts = _seen(registry.model_info(name), piece)
    makers["figure"] = lambda: figure(picture.name, name, piece, drawn)
    makers["style"] = lambda: style_text(models[0], name, graph_facts)
    return {path: filled(path, text, makers)} | ({picture: drawn} if drawn else {})


def _seen(info: ModelInfo, piece: str) -> tuple[str, dict[str, Any]]:
    """The drawing of a model or a piece of it, empty where it would be too large, and the facts of the model."""
    with graph.without_weights(), graph.fresh_names():
        model = registry.build_model(info.name)
        small = bool(piece) or len(diagram.boxes_of(model)) <= MOST_BOXES
        try:
            return diagram.draw(model, piece) if small else "", facts(model, info)
        except (ValueError, re.error) as error:
            raise RequestError(f"the figure of docs/models/{info.family}.md: {error}") from error


def source_file(info: ModelInfo) -> str:
    """The file that a model stands in, from the top of the repository."""
    return f"{info.builder.__module__.replace('.', '/')}.py"


def summary(models: list[ModelInfo]) -> str:
    """Style, file and sources."""
    file = source_file(models[0])
    papers = "; ".join(dict.fromkeys(info.paper for info in models))
    return f"{models[0].style.capitalize()} · [`{file}`](../../{file}) · {papers}"


def figure(file: str, name: str, piece: str, drawn: str) -> str:
    """The picture, and what it shows; nothing where there is none."""
    if not drawn:
        return ""
    layers = " and ".join(f"`{part}...`" for part in piece.split("|"))
    what = f"the layers {layers} of `{name}`" if piece else f"`{name}`"
    joins = ", orange round ones join paths" if 'class="joins"' in drawn else ""
    return (
        f"![{'A block' if piece else 'The layers'} of {name}]({file})\n\n"
        f"Drawn from the graph of {what}: blue boxes with sharp corners have weights{joins}."
    )


def style_text(info: ModelInfo, name: str, graph_facts: dict[str, Any]) -> str:
    """The family's style, why it is that, and what the graph says."""
    docstring = sys.modules[info.builder.__module__].__doc__ or ""
    style, _, why = docstring.partition("\n")[0].partition(": ")
    if graph_facts["could_be_sequential"]:
        verdict = "a Sequential can express it, since each layer takes what the one before it gives and nothing else"
    else:
        verdict = f"no Sequential could express it, because {_code(graph_facts['reason'])}"
    counts = [f"{tables.counted(graph_facts['depth'], 'layer')} with weights on the longest path"]
    counts += [
        f"{tables.counted(count, 'merge')}{'' if kind == 'other' else f' ({kind})'}"
        for kind, count in graph_facts["merges"].items()
        if count
    ]
    skips = graph_facts["skip_connections"]
    counts += [tables.counted(skips, "skip connection")] if skips else []
    counts += [f"`{layer['name']}` called {layer['calls']} times" for layer in graph_facts["shared_layers"]]
    return (
        f"**{style}**: {why}\n\n`python -m zoo inspect {name}` finds it out from the graph: {verdict}. "
        f"It has {', '.join(counts)}. [Sequential or Functional?](../sequential_or_functional.md) compares the two."
    )


def _code(reason: str) -> str:
    """A reason with the names of layers, the words with an underscore or a slash, as code."""
    return re.sub(r"\b\w+(?:[_/]\w+)+\b", r"`\g<0>`", reason)


def models_text(models: list[ModelInfo]) -> str:
    """The counts of the models and their hyperparameters."""
    rows = [
        (
            f"`{info.name}`",
            graph.shape_text(info.input_shape),
            "-" if info.num_classes is None else f"{info.num_classes:,}",
            f"{info.parameters:,}",
            "-" if info.macs is None else f"{info.macs:,}",
            re.split(r"\. |\.$", (info.builder.__doc__ or "").partition("\n")[0])[0],
        )
        for info in models
    ]
    header = ("model", "input", "classes", "parameters", "MACs", "what it is")
    parts = [
        tables.markdown_text(header, rows, right=(2, 3, 4)),
        "Parameters are the trainable ones, MACs the multiply-accumulates of convolutions and dense layers for one "
        "example, both at the defaults and exact; a test holds the built model to them.",
    ]
    if any("published" in row[-1] for row in rows):
        parts[-1] += " What is published comes from the source in brackets."
    alike: dict[tuple, list[ModelInfo]] = {}
    for info in models:
        alike.setdefault(tuple(sorted(meanings(info).items())), []).append(info)
    for group in alike.values():
        explained = meanings(group[0])
        if not explained:
            continue
        defaults = group[0].hyperparameters
        whose = "" if len(alike) == 1 else f" of {', '.join(f'`{info.name}`' for info in group)}"
        rows = [(f"`{name}`", f"`{defaults[name]!r}`", explained[name]) for name in defaults]
        parts += [f"Hyperparameters{whose}:", tables.markdown_text(("name", "default", "what it is"), rows)]
    return "\n\n".join([*parts, *weights_parts(models)])


def weights_parts(models: list[ModelInfo]) -> list[str]:
    """The published weights of the models, of which some have none."""
    entries = [catalog.find_entry(name) for info in models for name in catalog.list_weights(info.name)]
    if not entries:
        return []
    rows = [
        (
            f"`{entry.name}`",
            f"`{entry.model}`",
            f"{entry.megabytes:,.0f}" if entry.megabytes else "-",
            entry.licence or "not stated",
            "-" if entry.top1 is None else f"{entry.top1:.2f}",
            ", ".join(re.findall(r"\d+ x \d+", entry.source)) or "-",
        )
        for entry in entries
    ]
    header = ("weights", "of", "MB", "licence", "top-1", "of images")
    return [
        "Published weights, for `zoo.build_model(..., weights=...)` and `--init_weights`; top-1 is their publisher's "
        "accuracy on ImageNet in percent, see [pretrained.md](../pretrained.md):",
        tables.markdown_text(header, rows, right=(2, 4)),
    ]


def meanings(info: ModelInfo) -> dict[str, str]:
    """What the docstring says of each hyperparameter: that of the builder, or of the general one that it calls.

    The general one is the function, known in the builder's file, that has the same keyword-only parameters.
    """
    module = sys.modules[info.builder.__module__]
    known = [info.builder, *filter(inspect.isfunction, vars(module).values())]
    general = [function for function in known if (function.__kwdefaults__ or {}) == info.hyperparameters]
    docstrings = [inspect.getdoc(function) or "" for function in general]
    text = next((docstring for docstring in docstrings if "\nArgs:\n" in docstring), "")
    said = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    texts = {name: " ".join(words.split()).removesuffix(".") for name, words in said}
    return {name: texts.get(name, "") for name in info.hyperparameters}


def baselines_text(recipes: list[Recipe]) -> str:
    """The recipes of a family with what was measured here and what others report."""
    if not recipes:
        return f"No recipe yet, so nothing is claimed of this family: *{NOT_RUN}*."
    rows = []
    for recipe in recipes:
        measured = measured_text(recipe)
        shown = f"{measured} ([records](../../results/{recipe.name}))" if measured else f"*{NOT_RUN}*"
        config = f"[`{recipe.name}`](../../configs/{recipe.name}.py)"
        rows.append((config, recipe.tier, shown, recipe.published))
    header = ("recipe", "tier", "measured here, mean ± standard deviation of the last epoch", "published")
    run_here = [recipe.name for recipe in recipes if measured_text(recipe)]
    again = (
        f"\n\n`python -m zoo reproduce {run_here[0]}` runs it again and says whether it still holds."
        if run_here
        else ""
    )
    return tables.markdown_text(header, rows) + again


def use_text(info: ModelInfo, recipes: list[Recipe]) -> str:
    """Lines that build a model, and commands that train one."""
    code = f'```python\nimport zoo\n\nmodel = zoo.build_model("{info.name}")\n```'
    if recipes:
        commands = "\n".join(f"    python train.py --config=configs/{recipe.name}.py" for recipe in recipes)
        return f"{code}\n\n{commands}"
    flags = ""
    if info.task == "classification" and len(info.input_shape) == 3:
        side = info.input_shape[0]
        augment = (
            "--augment=pad_crop:4,flip" if side <= 64 else "--augment=random_resized_crop,flip --center_crop=0.875"
        )
        flags = f" --dataset=folder:PATH --image_size={side} {augment}"
    told = "No recipe stands behind this command: what it leaves out are the driver's defaults."
    return f"{code}\n\n    python train.py --model={info.name}{flags}\n\n{told}"
