"""The fields of fine-tuning: what they may be, and what goes together."""

import pytest

from zoo.config import ExperimentConfig, parse_freeze
from zoo.errors import RequestError


def test_what_is_frozen_is_the_trunk_or_patterns():
    assert parse_freeze("") == parse_freeze(" ") == ()
    assert parse_freeze("trunk") == ("trunk",)
    assert parse_freeze("stem*, stage1_*") == ("stem*", "stage1_*")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"freeze": "a,,b"}, "freeze is 'a,,b', in which a pattern is empty; write trunk, or stem"),
        ({"freeze": "trunk,stem*"}, "trunk is all but the classifier, give it alone or leave it out"),
        ({"unfreeze_epoch": 1}, "unfreeze_epoch is 1, which needs freeze"),
        ({"freeze": "trunk", "unfreeze_epoch": 5, "epochs": 5}, "unfreeze_epoch is 5; it must be less than epochs, 5;"),
        ({"freeze": "trunk", "unfreeze_epoch": -1}, "unfreeze_epoch is -1; it must be at least 0"),
        ({"layer_decay": 0.0}, "layer_decay is 0.0; it must be above 0"),
        ({"layer_decay": 1.1}, "layer_decay is 1.1; it must be at most 1"),
        ({"trunk_rate": 0.0}, "trunk_rate is 0.0; it must be above 0"),
        ({"layer_decay": 0.5, "trunk_rate": 0.5}, "layer_decay and trunk_rate both set the rates of layers"),
        ({"freeze": "trunk", "layer_decay": 0.5}, "layer_decay is 0.5, the rate of layers that freeze=trunk never"),
        ({"freeze": "trunk", "trunk_rate": 0.1}, "trunk_rate is 0.1, the rate of layers that freeze=trunk never"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(fields, message):
    with pytest.raises(RequestError) as raised:
        ExperimentConfig(**fields)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"freeze": "stem*", "layer_decay": 0.5},
        {"freeze": "trunk", "unfreeze_epoch": 1, "trunk_rate": 0.1},
        {"trunk_rate": 2.0},
    ],
)
def test_what_goes_together(fields):
    assert vars(ExperimentConfig(**fields)).items() >= fields.items()


def test_a_folder_of_weights_is_the_same_with_a_slash_at_its_end():
    assert ExperimentConfig(init_weights="runs/mlp/") == ExperimentConfig(init_weights="runs/mlp")
    assert ExperimentConfig(init_weights="/").init_weights == "/"
