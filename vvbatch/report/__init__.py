"""What a person sees: tables and progress on a terminal, plain aligned lines in a pipe."""

from vvbatch.report.batch import print_estimate, print_summary
from vvbatch.report.overview import print_lines, print_overview
from vvbatch.report.tables import print_table
from vvbatch.report.watch import counting, progress, watch

__all__ = [
    "counting",
    "print_estimate",
    "print_lines",
    "print_overview",
    "print_summary",
    "print_table",
    "progress",
    "watch",
]
