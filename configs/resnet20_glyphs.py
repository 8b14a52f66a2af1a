"""resnet20 on the characters of glyphs, with the optimiser of the paper (SGD with momentum) and a cosine.

Command:   python train.py --config=configs/resnet20_glyphs.py
Measured:  not yet run here
Time:      not yet run here
Published: none on this dataset; hyperparameters were chosen on train[90%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="resnet20",
        model_args={"num_classes": 170},
        dataset="glyphs",
        labels="character",
        batch_size=128,
        epochs=3,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        schedule="cosine",
        warmup_epochs=0.5,
        l2=0.0001,
    )
