"""googlenet with batch normalisation on the characters of glyphs, as they are: 32x32 pixels.

Command:   python train.py --config=configs/googlenet_glyphs.py
Measured:  not yet run here
Time:      not yet run here
Published: none on this dataset; hyperparameters were chosen on train[90%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="googlenet",
        model_args={"num_classes": 170, "batch_norm": True, "dropout": 0.2},
        dataset="glyphs",
        labels="character",
        batch_size=128,
        epochs=2,
        optimizer="adam",
        learning_rate=0.002,
        schedule="cosine",
        warmup_epochs=0.5,
    )
