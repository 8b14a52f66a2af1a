"""Character and typeface of glyphs, two heads on one trunk.

Command:   python train.py --config=configs/multi_output_glyphs.py
Tier:      cpu-hours
Measured:  test/character_accuracy 0.8817 +- 0.0060, mean and standard deviation of the last epoch over seeds 0 to 4
Measured:  test/typeface_accuracy 0.7219 +- 0.0069, likewise
Time:      128 s, median of 5 runs on 2 cores of Intel(R) Xeon(R) Processor, without the import of TensorFlow
Published: none on this dataset; the test split was seen when the recipe was chosen
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
