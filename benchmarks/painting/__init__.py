"""Painted heads: how real they look, whether they show their label map, and whether they show a patient."""
