"""resnet20 on digits, enlarged to 16x16, with the optimiser of the paper (SGD with momentum) and a cosine.

Command:   python train.py --config=configs/resnet20_digits.py
Tier:      cpu
Measured:  test/accuracy 0.9789 +- 0.0061, mean and standard deviation of the last epoch over seeds 0 to 4
Time:      26 s, median of 5 runs on 2 cores of AMD EPYC, without the import of TensorFlow
Published: none on this split; hyperparameters were chosen on train[80%:]
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="resnet20",
        dataset="digits",
        image_size=16,
        augment="pad_crop:2",
        batch_size=128,
        epochs=30,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        schedule="cosine",
        warmup_epochs=1,
        l2=1e-4,
        eval_every_epochs=5,
    )
