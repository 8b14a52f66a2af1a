"""Character and typeface of glyphs, two heads on one trunk.

Command:   python train.py --config=configs/multi_output_glyphs.py
Measured:  not yet run here
Time:      not yet run here
Published: none on this dataset; hyperparameters were chosen on train[90%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="multi_output",
        model_args={
            "heads": {"character": 170, "typeface": 12},
            "trunk_args": {"filters": [32, 64], "hidden_units": 256},
        },
        dataset="glyphs",
        labels="character:1,typeface:1",
        augment="affine:6:0.1:0.1:2",
        batch_size=128,
        epochs=8,
        optimizer="adam",
        learning_rate=0.001,
        schedule="cosine",
        warmup_epochs=0.5,
    )
