"""What models cost, counted from the description of a dataset: the same as on the data, and nothing is prepared."""

import dataclasses

import made
import pytest

from zoo import registry
from zoo.analysis.runs import costs
from zoo.baselines.recipes import CONFIGS, find
from zoo.config import load_config
from zoo.training.data import open_data

RECIPES = {name: load_config(str(CONFIGS / f"{name}.py")) for name in find()}


def embedded(dataset, **marks):
    names = [name for name, config in RECIPES.items() if config.dataset == dataset]
    return [pytest.param(name, **marks) for name in names]


@pytest.mark.parametrize("name", [*embedded("digits"), *embedded("glyphs", marks=pytest.mark.slow)])
def test_a_description_tells_what_the_data_tell(name, data_dir, tmp_path):
    config = RECIPES[name]
    image_shape, arguments = costs.described(config, str(tmp_path))
    data = open_data(config, data_dir=data_dir)
    assert image_shape == data.image_shape
    takes = registry.model_info(config.model).hyperparameters
    assert arguments == {**data.task.builder_arguments(takes), **config.model_args}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_counted_without_its_data(name, tmp_path):
    parameters, macs = costs.cost(RECIPES[name], str(tmp_path))
    assert parameters > 10_000
    assert macs > 10_000
    assert list(tmp_path.iterdir()) == []


def test_a_net_is_counted_once_and_at_its_defaults_not_at_all(monkeypatch):
    built, build = [], registry.build_model

    def building(name, *arguments, **more):
        built.append(name)
        return build(name, *arguments, **more)

    monkeypatch.setattr(registry, "build_model", building)
    costs._counted.cache_clear()
    config = made.config(model="mlp")
    first = costs.cost(config)
    assert first == costs.cost(dataclasses.replace(config, epochs=3, seed=1))
    assert built == ["mlp"]
    assert costs.cost(dataclasses.replace(config, model_args={"hidden_sizes": [8]})) != first
    assert built == ["mlp", "mlp"]
    info = registry.model_info("mlp")
    defaults = dataclasses.replace(config, dataset="synthetic:28x28x1,classes=10,examples=64")
    assert costs.cost(defaults) == (info.parameters, info.macs)
    assert built == ["mlp", "mlp"]


def test_what_cannot_be_counted_is_said():
    assert "<nowhere>" in costs.cost(made.config(dataset="folder:<nowhere>"))
    assert "unknown dataset 'digitz'" in costs.cost(made.config(dataset="digitz"))
    text = costs.cost(made.config(dataset="imagenet2012", model="resnet50"))
    assert text == "the images of imagenet2012 may differ in size; set image_size"
