"""Models on this disk: where they lie, whether they are complete, and how they get here. Nothing here imports torch
unless a model is converted, and only `pull` and `sync` open a network connection."""
