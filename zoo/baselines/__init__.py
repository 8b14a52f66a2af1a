"""Recipes run again, over several seeds, and held against what was measured before.

A recipe is a file of `configs/` (`recipes`). What its runs wrote about themselves is kept in records (`records`), from
which follow a band for each metric, its mean and standard deviation over the seeds, and the rule by which a recipe
holds (`bands`). It is run again by the user's own command (`running`), and its docstring and the README say what the
records give (`agreement`).

What commands and pages use is named here. No TensorFlow is imported.
"""

from zoo.baselines.agreement import add_digests, check_update, disagreements, update
from zoo.baselines.bands import Band, bands_of, compare
from zoo.baselines.recipes import CONFIGS, NOT_RUN, ROOT, TIERS, Recipe, find, read_recipe
from zoo.baselines.records import RESULTS, read_records, unknown_code
from zoo.baselines.running import Outcome, reproduce

__all__ = [
    "CONFIGS",
    "NOT_RUN",
    "RESULTS",
    "ROOT",
    "TIERS",
    "Band",
    "Outcome",
    "Recipe",
    "add_digests",
    "bands_of",
    "check_update",
    "compare",
    "disagreements",
    "find",
    "read_recipe",
    "read_records",
    "reproduce",
    "unknown_code",
    "update",
]
