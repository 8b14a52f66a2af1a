"""The description of an experiment: its fields, their checks, its files and flags. Nothing here imports TensorFlow.

Precedence: flag, config file, default.
"""

from zoo.config.experiment import (
    EPISODES,
    FIELDS,
    MEMORY_GIB,
    ExperimentConfig,
    differences,
    recorded_config,
    with_fields,
)
from zoo.config.files import load_config
from zoo.config.flags import define_flags, with_flags
from zoo.config.parsing import TRUNK, image_folder, parse_freeze, parse_labels, parse_model_args, parse_schedule

__all__ = [
    "EPISODES",
    "FIELDS",
    "MEMORY_GIB",
    "TRUNK",
    "ExperimentConfig",
    "define_flags",
    "differences",
    "image_folder",
    "load_config",
    "parse_freeze",
    "parse_labels",
    "parse_model_args",
    "parse_schedule",
    "recorded_config",
    "with_fields",
    "with_flags",
]
