"""The character of a glyph from its image and its alphabet, which tells near look-alikes apart.

Command:   python train.py --config=configs/multi_input_glyphs.py
Tier:      cpu-hours
Measured:  test/accuracy 0.9501 +- 0.0027, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      123 s, median of 5 runs on 2 cores of Intel(R) Xeon(R) Processor, without the import of TensorFlow
Published: none on this dataset; the test split was seen when the recipe was chosen
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
