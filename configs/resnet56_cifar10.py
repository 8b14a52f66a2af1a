"""resnet56 on CIFAR-10, as in the paper.

Command:   python train.py --config=configs/resnet56_cifar10.py
Tier:      gpu-hours
Measured:  not yet run here
Published: test/accuracy 0.9303, He et al. 2015, table 6 (6.97 % error)
Recipe:    He et al. 2015, arXiv:1512.03385, section 4.2: SGD with momentum 0.9 at 0.1, batches of 128, weight decay
           1e-4; the rate falls to a tenth after 32,000 and after 48,000 steps, 64,000 in all. An epoch has 390 steps,
           so that is after 82 and 123 of 164 epochs

Deviations: mean and deviation are taken by channel, where the paper subtracts the mean of each pixel; the border of
random crops is black, where the paper's is the mean; biases and batch norm do not decay (the paper does not say).
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="resnet56",
        dataset="cifar10",
        augment="pad_crop:4,flip",
        batch_size=128,
        epochs=164,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        schedule="step:82,123",
        l2=1e-4,
    )
