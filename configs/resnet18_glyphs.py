"""resnet18 on the characters of glyphs, shrunk to 8x8: what finetune_resnet18_digits begins with.

Command:   python train.py --config=configs/resnet18_glyphs.py
Tier:      cpu-hours
Measured:  not yet run here
Published: none on this dataset; of the recipe resnet20_glyphs, at 32x32 for three epochs, test/accuracy 0.9544
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="resnet18",
        model_args={"num_classes": 170, "small_stem": True},
        dataset="glyphs",
        labels="character",
        image_size=8,
        batch_size=128,
        epochs=1,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        schedule="cosine",
        warmup_epochs=0.25,
        l2=1e-4,
        recompute_batch_norm=20,
    )
