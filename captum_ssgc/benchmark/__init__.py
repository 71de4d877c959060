"""Methods measured and detectors audited on data sets, in runs that survive being killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ssgc._lazy import lazy_names

if TYPE_CHECKING:
    from captum_ssgc.benchmark.auditing.reporting import report_audit as report_audit
    from captum_ssgc.benchmark.auditing.run import audit as audit
    from captum_ssgc.benchmark.auditing.settings import AuditSettings as AuditSettings
    from captum_ssgc.benchmark.auditing.summary import AuditSummary as AuditSummary
    from captum_ssgc.benchmark.auditing.summary import ClassAudit as ClassAudit
    from captum_ssgc.benchmark.benchmarking import run_benchmark as run_benchmark
    from captum_ssgc.benchmark.errors import BenchmarkError as BenchmarkError
    from captum_ssgc.benchmark.reporting import report as report
    from captum_ssgc.benchmark.rows import MethodRow as MethodRow
    from captum_ssgc.benchmark.settings import BenchmarkSettings as BenchmarkSettings
    from captum_ssgc.benchmark.summary import Cell as Cell
    from captum_ssgc.benchmark.summary import Row as Row
    from captum_ssgc.benchmark.summary import Summary as Summary

# The command line reads the fields of the settings for its help, which must load no PyTorch.
_HOMES = {
    "AuditSettings": "auditing.settings",
    "AuditSummary": "auditing.summary",
    "BenchmarkError": "errors",
    "BenchmarkSettings": "settings",
    "Cell": "summary",
    "ClassAudit": "auditing.summary",
    "MethodRow": "rows",
    "Row": "summary",
    "Summary": "summary",
    "audit": "auditing.run",
    "report": "reporting",
    "report_audit": "auditing.reporting",
    "run_benchmark": "benchmarking",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
