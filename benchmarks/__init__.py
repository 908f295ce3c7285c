"""Scripts that print the figures this project states, and the baselines they are held against."""
