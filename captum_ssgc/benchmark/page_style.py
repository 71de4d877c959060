"""How the report looks."""

from __future__ import annotations

STYLE = """
:root { --ink: #1b2430; --quiet: #5b6675; --line: #e1e6ec; --wash: #f6f8fa; --accent: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 28px 28px 64px; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  Arial, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 38px 0 10px; }
p { margin: 6px 0; max-width: 95ch; }
.sub { color: var(--quiet); }
.notice { background: #fff6e0; border-left: 4px solid #d99a00; padding: 10px 14px; margin: 14px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: 6px 9px; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; }
tbody th, thead th:first-child { text-align: left; }
.results { width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
.results th, .results td { padding: 5px 6px; }
.results thead .groups th { color: var(--quiet); font-weight: 500; font-size: 12.5px;
  text-align: center; border-bottom: 1px solid var(--line); }
.results thead tr:last-child th { border-bottom: 2px solid var(--ink); }
.results tbody tr { border-bottom: 1px solid var(--line); }
.results tbody tr.reference { background: #eef5fc; }
.results tbody tr.floor { color: var(--quiet); }
.results tbody tr.first-floor { border-top: 2px solid var(--ink); }
.results tbody tr.floor th { font-weight: 500; font-style: italic; }
.results tfoot td, .results tfoot th { color: var(--quiet); font-weight: 400; font-size: 12.5px;
  text-align: right; }
.results tfoot th { text-align: left; }
.results .starts { border-left: 1px solid var(--line); }
.results small { display: block; color: var(--quiet); font-size: 10.5px; font-weight: 400; }
.best { font-weight: 700; }
.mark { color: var(--accent); font-weight: 600; padding-left: 3px; }
.lost { color: #b3420a; padding-left: 3px; }
.arrow { color: var(--quiet); font-weight: 400; }
.plain th, .plain td { text-align: left; white-space: normal;
  border-bottom: 1px solid var(--line); }
.plain td.number { text-align: right; font-variant-numeric: tabular-nums; }
.plain { max-width: 1000px; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(520px, 1fr)); gap: 14px; }
.curves img { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
.examples { display: grid; grid-template-columns: repeat(auto-fit, minmax(560px, 1fr)); gap: 22px; }
.examples h3 { font-size: 15px; margin: 0 0 6px; }
.trio { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; }
figure { margin: 0; }
figure img { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--wash);
  border-radius: 4px; display: block; }
.missing { aspect-ratio: 4 / 3; background: var(--wash); border-radius: 4px; color: var(--quiet);
  font-size: 12px; display: grid; place-items: center; }
figcaption { font-size: 12px; line-height: 1.35; color: var(--quiet); margin-top: 4px;
  overflow-wrap: anywhere; }
figcaption b { color: var(--ink); }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--accent); }
ul { margin: 6px 0; padding-left: 20px; }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media print { .scroll { overflow: visible; } body { max-width: none; } }
"""
