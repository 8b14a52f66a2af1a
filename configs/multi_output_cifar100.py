"""multi_output on CIFAR-100: a wide residual net that learns the 100 classes and their 20 superclasses.

Command:   python train.py --config=configs/multi_output_cifar100.py
Tier:      gpu-hours
Measured:  not yet run here
Published: none for two heads; the larger wrn_28_10 with one head has test/label_accuracy 0.8075 (Zagoruyko and
           Komodakis, README of their code, median of five)
Recipe:    that of the trunk's paper, Zagoruyko and Komodakis 2016, arXiv:1605.07146, section 3: SGD with Nesterov
           momentum 0.9 at 0.1, a fifth of it after 60, 120 and 160 of 200 epochs, batches of 128, weight decay 5e-4 on
           all parameters. The heads weigh the same, as in Caruana 1997

Deviation: the border of random crops is black, where theirs mirrors the image.
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(
        model="multi_output",
        model_args={"trunk": "wrn_16_4"},
        dataset="cifar100",
        labels="label:1,coarse_label:1",
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
