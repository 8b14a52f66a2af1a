"""resnet18_digits once more, beginning with the weights of resnet18_glyphs and a new classifier.

Command:   python train.py --config=configs/finetune_resnet18_digits.py
Tier:      cpu-hours
Data:      the run runs/resnet18_glyphs-0, which the command python train.py --config=configs/resnet18_glyphs.py makes
Measured:  not yet run here
Published: none on this split; of the recipe resnet20_digits, at 16x16 for 30 epochs, test/accuracy 0.9789
"""

import dataclasses

import resnet18_digits

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return dataclasses.replace(resnet18_digits.get_config(), init_weights="runs/resnet18_glyphs-0")
