"""From checked takes to finished books: pauses, levels, coded files with chapters.

A library over audio files and plain typed values; it knows neither the ledger nor queues.
"""
