"""The report of a suite: one HTML file that needs no network, and JUnit XML for CI."""

from vvbatch.regress.report.junit import junit
from vvbatch.regress.report.page import page

__all__ = ["junit", "page"]
