"""Nightly regression: render a suite of lines every night and compare the takes with blessed ones.

suite → night (rendered through the queue) → measures → verdicts against baselines → report.
Only `bless` makes baselines.
"""
