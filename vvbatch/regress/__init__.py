"""Nightly regression: a suite of lines is rendered anew and compared with blessed takes of the same lines.

suite → night (rendered through the queue) → measures → verdicts against baselines → report.
Only `bless` makes baselines.
"""
