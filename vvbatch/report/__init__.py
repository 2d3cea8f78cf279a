"""What a person sees: tables and progress on a terminal, plain aligned lines in a pipe."""

from vvbatch.report.batch import print_estimate, print_summary
from vvbatch.report.tables import print_table
from vvbatch.report.watch import progress, watch

__all__ = ["print_estimate", "print_summary", "print_table", "progress", "watch"]
