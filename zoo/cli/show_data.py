"""Writes a picture of the first training examples of a config, as they are and as augmented, and counts the classes.

Every field of the config is a flag too, as in train.py.
"""

from types import SimpleNamespace

from zoo.cli import console
from zoo.cli.options import CONFIG, DATA_DIR, MEMORY_GIB, Option, config_of, output_file
from zoo.waiting import said_if_slow

ARGUMENTS = ()
OPTIONS = (
    CONFIG,
    DATA_DIR,
    MEMORY_GIB,
    Option("count", 48, "how many examples", least=1),
    Option("output", "data.png", "the picture"),
)


def main(options: SimpleNamespace) -> None:
    """Draws it."""
    config = config_of(options)
    path = output_file("output", options.output)
    console.import_tensorflow()
    from zoo.analysis.runs import plots
    from zoo.training.data import open_data

    with said_if_slow("reading the data", counting=False):
        data = open_data(config, data_dir=options.data_dir or None, memory_gib=options.memory_gib)
    with said_if_slow("drawing"):
        facts = plots.split_facts(config, data)
        shown = plots.data_grid(config, data, options.count, path, header=facts)
    print("\n".join(facts))
    print(f"{path}: the first {shown} training examples, as the model gets them")
