"""Simulated annotation: Dice against the number of labelled crops, by the strategy that chose them."""
