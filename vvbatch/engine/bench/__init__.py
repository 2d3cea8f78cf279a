"""Measurements of the engine: how true it is to the original, and how fast."""
