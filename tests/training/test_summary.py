"""What a run says before its first step, and what of each class after its last one."""

import csv

import numpy as np

from zoo.cli import train
from zoo.config import ExperimentConfig
from zoo.training.experiment import make_experiment
from zoo.training.summary import summary

DATASET = "synthetic:8x8x1,classes={},examples=40"


def test_few_classes_are_named_with_their_examples_and_of_many_the_fewest_and_the_most():
    rows = {}
    for classes in (3, 30):
        config = ExperimentConfig(
            model="mlp",
            model_args={"hidden_sizes": [16]},
            dataset=DATASET.format(classes),
            batch_size=8,
            epochs=2,
            augment="flip",
        )
        experiment = make_experiment(config)
        rows[classes] = dict(summary(experiment, "runs/x"))
        data = experiment.data
        counts = [np.bincount(source.column("label"), minlength=classes) for source in (data.train, data.evaluation)]
        if classes == 3:
            named = ", ".join(
                f"{number} {one} + {other}" for number, (one, other) in enumerate(zip(*counts, strict=True))
            )
            assert rows[3]["classes"] == f"3: {named} (train + test)"
        else:
            ranges = [f"{count.min()} to {count.max()}" for count in counts]
            assert rows[30]["classes"] == f"30, each with {ranges[0]} of train, {ranges[1]} of test"
        examples = data.evaluation.num_examples
        assert rows[classes]["data"] == f"{config.dataset}: train 40, test {examples} examples"
    assert rows[3] | {"classes": "", "data": ""} == {
        "model": "mlp, 1,091 trainable parameters",
        "data": "",
        "classes": "",
        "images": "8 x 8 x 1, flip",
        "steps": "10: 2 x 5 of 8 examples",
        "runs on": "1 CPU, float32",
        "writes to": "runs/x",
    }


def write_confusion(path, counts):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["true \\ predicted", *range(len(counts))], *([i, *row] for i, row in enumerate(counts))]
        )


def test_up_to_twenty_classes_are_told_and_of_more_the_ten_with_the_lowest_recall(tmp_path, capsys):
    counts = np.diag(np.arange(1, 22))
    write_confusion(tmp_path / "confusion_label.csv", counts[:20, :20])
    train.print_classes(str(tmp_path))
    assert len(capsys.readouterr().out.strip().splitlines()) == 21
    # Of the classes 5 and 7 some are taken for class 0; class 3 has no example.
    counts[5, 0], counts[7, 0], counts[3] = 6, 24, 0
    write_confusion(tmp_path / "confusion_label.csv", counts)
    train.print_classes(str(tmp_path))
    lines = [line.split() for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0] == [
        "label",
        "(10",
        "of",
        "21",
        "with",
        "the",
        "lowest",
        "recall)",
        "precision",
        "recall",
        "examples",
    ]
    assert [line[0] for line in lines[1:]] == ["7", "5", "0", "1", "2", "4", "6", "8", "9", "10"]
    assert lines[1] == ["7", "1.0000", "0.2500", "32"]
    assert lines[3] == ["0", "0.0323", "1.0000", "1"]
