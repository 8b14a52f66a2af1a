"""lenet5 on digits, enlarged to the paper's 32x32.

Command:   python train.py --config=configs/lenet5_digits.py
Tier:      cpu
Measured:  test/accuracy 0.9589 +- 0.0036, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      8 s, median of 5 runs on 2 cores of AMD EPYC, without the import of TensorFlow
Published: none on this split; hyperparameters were chosen on train[80%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="lenet5",
        dataset="digits",
        image_size=32,
        augment="pad_crop:4",
        batch_size=64,
        epochs=40,
        optimizer="adam",
        learning_rate=3e-3,
        schedule="cosine",
        eval_every_epochs=5,
        cpu_threads=1,
    )
