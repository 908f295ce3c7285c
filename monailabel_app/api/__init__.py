"""The HTTP side of the server: one file for every group of addresses."""
