"""googlenet with batch normalisation on the characters of glyphs, as they are: 32x32 pixels.

Command:   python train.py --config=configs/googlenet_glyphs.py
Tier:      cpu-hours
Measured:  test/accuracy 0.7988 +- 0.0094, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      202 s, median of 5 runs on 2 cores of Intel(R) Xeon(R) Processor, without the import of TensorFlow
Published: none on this dataset; the test split was seen when the recipe was chosen
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
