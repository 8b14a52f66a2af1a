"""What documents are about: the families of models, and the recipes with what they were measured at."""

from zoo import registry
from zoo.analysis.docs import tables
from zoo.baselines import recipes as recipe_files
from zoo.baselines.bands import bands_of, metrics_of
from zoo.baselines.recipes import TIERS, Recipe
from zoo.baselines.records import read_records
from zoo.config import load_config
from zoo.registry import ModelInfo


def families() -> dict[str, list[ModelInfo]]:
    """The zoo's own models by family, those of the Sequential folder first; a family's models by size."""
    models = map(registry.model_info, registry.list_models())
    models = [info for info in models if info.builder.__module__.startswith("zoo.models.")]
    models.sort(key=lambda info: (registry.STYLES.index(info.style), info.family, info.parameters, info.name))
    by_family: dict[str, list[ModelInfo]] = {}
    for info in models:
        by_family.setdefault(info.family, []).append(info)
    return by_family


def recipes_by_family() -> dict[str, list[Recipe]]:
    """The recipes for the models of each family, the quick ones first."""
    by_family: dict[str, list[Recipe]] = {}
    for recipe in recipes_by_tier():
        model = load_config(str(recipe_files.CONFIGS / f"{recipe.name}.py")).model
        by_family.setdefault(registry.model_info(model).family, []).append(recipe)
    return by_family


def recipes_by_tier() -> list[Recipe]:
    """All recipes, the quick ones first."""
    recipes = map(recipe_files.read_recipe, recipe_files.find())
    return sorted(recipes, key=lambda recipe: (TIERS.index(recipe.tier), recipe.name))


def measured_text(recipe: Recipe) -> str:
    """The bands that a recipe's records give; empty where it was not yet run."""
    records = read_records(recipe.name)
    if not records:
        return ""
    bands = bands_of(records, metrics_of(recipe, records))
    figures = [f"{metric} {band.mean:.4f} ± {band.deviation:.4f}" for metric, band in bands.items()]
    return f"{', '.join(figures)} ({tables.counted(len(records), 'seed')})"
