"""Attribution methods measured on whole data sets, in runs that survive being killed."""

from __future__ import annotations

from captum_ssgc.benchmark.errors import BenchmarkError
from captum_ssgc.benchmark.reporting import report
from captum_ssgc.benchmark.rows import MethodRow
from captum_ssgc.benchmark.runner import run_benchmark
from captum_ssgc.benchmark.settings import BenchmarkSettings
from captum_ssgc.benchmark.summary import Cell, Row, Summary

__all__ = [
    "BenchmarkError",
    "BenchmarkSettings",
    "Cell",
    "MethodRow",
    "Row",
    "Summary",
    "report",
    "run_benchmark",
]
