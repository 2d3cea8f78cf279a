"""What a person sees: tables and progress on a terminal, plain aligned lines in a pipe."""

from vvbatch.report.batch import (
    print_candidates,
    print_deadline,
    print_estimate,
    print_spoken,
    print_summary,
    print_warnings,
)
from vvbatch.report.counting import counting, waiting
from vvbatch.report.overview import print_lines, print_overview
from vvbatch.report.tables import print_table, size
from vvbatch.report.watch import progress, watch

__all__ = [
    "counting",
    "print_candidates",
    "print_deadline",
    "print_estimate",
    "print_lines",
    "print_overview",
    "print_spoken",
    "print_summary",
    "print_table",
    "print_warnings",
    "progress",
    "size",
    "waiting",
    "watch",
]
