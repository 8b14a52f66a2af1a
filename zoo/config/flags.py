"""Every field as a flag of absl's: `--field=value`, `--nofield`, and near names for a wrong one."""

import dataclasses

from absl import flags

from zoo.config.experiment import FIELDS, ExperimentConfig
from zoo.config.parsing import parse_model_args


def define_flags(flag_values: flags.FlagValues) -> None:
    """Adds one flag per field; each is absent unless it is given."""
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
    }
    for name, field in FIELDS.items():
        define.get(field.type, flags.DEFINE_string)(name, None, field.metadata["help"], flag_values=flag_values)


def with_flags(config: ExperimentConfig, flag_values: flags.FlagValues) -> ExperimentConfig:
    """The config with the fields replaced whose flags were given."""
    fields = {name: flag_values[name].value for name in FIELDS if flag_values[name].present}
    if "model_args" in fields:
        fields["model_args"] = parse_model_args(fields["model_args"])
    return dataclasses.replace(config, **fields)
