"""Synthetic micrographs of ferrite and pearlite with a label for every pixel."""

from steelquant.learning.synthetic.field import SyntheticField, synthesize_field
from steelquant.learning.synthetic.recipe import Recipe, read_recipe, recipe_yaml

__all__ = ["Recipe", "SyntheticField", "read_recipe", "recipe_yaml", "synthesize_field"]
