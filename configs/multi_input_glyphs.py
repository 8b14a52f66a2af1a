"""The character of a glyph from its image and its alphabet, which tells near look-alikes apart.

Command:   python train.py --config=configs/multi_input_glyphs.py
Measured:  not yet run here
Time:      not yet run here
Published: none on this dataset; hyperparameters were chosen on train[90%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="multi_input",
        model_args={"num_classes": 170, "tower_args": {"filters": [32, 64], "hidden_units": 256}},
        dataset="glyphs",
        labels="character",
        condition="alphabet",
        batch_size=128,
        epochs=6,
        optimizer="adam",
        learning_rate=0.001,
        schedule="cosine",
        warmup_epochs=0.5,
    )
