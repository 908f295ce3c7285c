"""Recipes, one short file each; the table of them is `medgan_core.training.RECIPES`."""
