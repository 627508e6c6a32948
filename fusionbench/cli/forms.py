"""`fusionbench latency --forms`: trained models as they are, as graphs, compiled, in ONNX Runtime, with eight bits."""

from __future__ import annotations

import argparse

from rich.console import Console

from fusionbench.cli.measuring import by_default
from fusionbench.cli.suites import tell, watchers, work_of
from fusionbench.engines.forms import form_sessions
from fusionbench.plan.forms import checked_forms
from fusionbench.records.reading import facts_at
from fusionbench.report.forms import forms_table


def report_forms(options: argparse.Namespace) -> None:
    """A session for each table; show it, and where it lies.

    Raises:
        UserError: no such form, nothing trained, or weights that are not what they should be.
    """
    forms = checked_forms([name for name in options.forms.split(",") if name], "--forms")
    work = work_of(options)
    latency = work.suite.measure("latency") or by_default("latency")
    with watchers(debug=options.debug)(0, 0) as watcher:
        paths = form_sessions(work.runner(watcher, watcher.told), work.runs, latency.options, forms)
    tell(work.store)
    console = Console()
    for path in paths:
        console.print(forms_table(facts_at(path, path.stem)))
        print(path)
