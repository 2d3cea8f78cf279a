"""Measurements of the engine: how true it is to the original, and how fast."""

# First of all: it raises EngineUnavailable with the remedy where torch or another package is missing.
import vvbatch.engine.vibevoice  # noqa: F401
