"""Checks that need models: transcription, speaker similarity, naturalness, and music or noise in the background.

The models ship in the wheels of the extra `qc`; nothing is downloaded. `models` loads them. A worker runs them in a
separate process (`process`), which is `python -P -m vvbatch.listening`.
"""
