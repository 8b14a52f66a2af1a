"""simple_cnn on digits: a small convolutional net.

Command:   python train.py --config=configs/simple_cnn_digits.py
Tier:      cpu
Measured:  test/accuracy 0.9767 +- 0.0046, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      5 s, median of 5 runs on 2 cores of AMD EPYC, without the import of TensorFlow
Published: none on this split; hyperparameters were chosen on train[80%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="simple_cnn",
        model_args={"dropout": 0.5},
        dataset="digits",
        augment="pad_crop:1",
        batch_size=32,
        epochs=40,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="cosine",
        eval_every_epochs=5,
        cpu_threads=1,
    )
