"""Losses, one concept a file."""
