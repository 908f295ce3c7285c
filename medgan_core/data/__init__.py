"""Training data: what there is, how patients are kept apart, and how scans are simulated."""
