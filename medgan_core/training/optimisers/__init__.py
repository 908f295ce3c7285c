"""Optimisers for two players that torch does not have."""
