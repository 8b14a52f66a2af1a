"""wrn_28_10 on CIFAR-10, as in the paper.

Command:   python train.py --config=configs/wrn_28_10_cifar10.py
Tier:      gpu-hours
Measured:  not yet run here
Published: test/accuracy 0.9600, Zagoruyko and Komodakis, README of their code (4.00 % error, median of five, without
           dropout, images brought to mean 0 and deviation 1)
Recipe:    Zagoruyko and Komodakis 2016, arXiv:1605.07146, section 3, and scripts/train_cifar.sh of their code: SGD with
           Nesterov momentum 0.9 at 0.1, a fifth of it after 60, 120 and 160 of 200 epochs, batches of 128, weight
           decay 5e-4 on all parameters

Deviation: the border of random crops is black, where theirs mirrors the image.
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="wrn_28_10",
        dataset="cifar10",
        augment="pad_crop:4,flip",
        batch_size=128,
        epochs=200,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        schedule="step:60,120,160:0.2",
        l2=5e-4,
        decay_all_parameters=True,
    )
