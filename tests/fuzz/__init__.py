"""Hostile input at every door, drawn from a seed: `make fuzz`, and a short run in `make test`."""
