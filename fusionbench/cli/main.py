"""The command line: one function per verb, each importing only what it needs, so that help and lists answer at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fusionbench.cli.arguments import parser
from fusionbench.cli.model_verbs import explain, export
from fusionbench.cli.plugin_verbs import contract, list_, new
from fusionbench.cli.record_verbs import check, pack, unpack, verify
from fusionbench.cli.suites import counted, limit_of, made, show_report, tell, watchers, work_of, written
from fusionbench.core.output import never_fail
from fusionbench.core.ranks import ranks_under_torchrun

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code: 0 done, 1 some run failed or diverged, 2 wrong use or bad data, 130 interrupted."""
    never_fail()
    options = parser().parse_args(arguments)
    if not options.verb:
        parser().print_help()
        return DONE
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # So that a suite may name the user's own modules; last, to hide no other.
    try:
        return VERBS[options.verb](options)
    except KeyboardInterrupt:
        print("interrupted; what is done is kept, the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `fusionbench list | head` is no error.
        return DONE
    except Exception as error:
        from fusionbench.core.errors import UserError

        if options.debug:
            raise
        if isinstance(error, UserError):
            print(f"fusionbench: {error}", file=sys.stderr)
        elif isinstance(error, OSError) and error.strerror:
            print(f"fusionbench: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        else:
            print(f"fusionbench: {type(error).__name__}: {error} (a bug: --debug shows where)", file=sys.stderr)
        return WRONG_USE


# --- verbs -----------------------------------------------------------------------------------------------------------


def plan(options: argparse.Namespace) -> int:
    """The runs, their keys, and which are done."""
    from fusionbench.cli.planning import show_plan

    show_plan(options)
    return DONE


def prepare(options: argparse.Namespace) -> int:
    """Download, verify, convert, train encoders beforehand, store encodings; no training of the suite."""
    work = work_of(options)
    with watchers(debug=options.debug)(0, 0) as watcher:
        work.runner(watcher, watcher.told).prepare_all(work.runs)
    print(f"{work.suite.name}: data ready")
    return DONE


def run(options: argparse.Namespace) -> int:
    """Train, measure, time, report."""
    from fusionbench.api.running import finish
    from fusionbench.api.work import statuses
    from fusionbench.cli.feeding import fed, refuse_live_without_server

    refuse_live_without_server(options)
    limit = limit_of(options)
    work = work_of(options)
    again = statuses((word for word in (options.again or "").split(",") if word), f"--again {options.again}")
    ranks = ranks_under_torchrun(os.environ)
    if ranks is not None:
        from fusionbench.cli.torchrun import train_under_torchrun

        if not train_under_torchrun(options, work, ranks, again):
            return SOME_FAILED
        if not ranks.is_first:
            return DONE
        again = frozenset()  # Done just now; what follows is for one process alone: measures, tables.
    result = finish(work, again, fed(options, watchers(debug=options.debug)), limit)
    tell(work.store)
    if limit is None or sum(result.counts.values()) > result.counts["missing"]:
        show_report(result.suite, work.store)
    if options.wandb:
        from fusionbench.cli.publishing import mirror_finished

        mirror_finished(options, work.suite, work.store, work.runs)
    print("\n".join([f"{work.suite.name}: {counted(result.counts)}", *([result.left_out] if result.left_out else [])]))
    is_open = result.counts["missing"] and limit is None
    return SOME_FAILED if result.counts["failed"] or result.counts["diverged"] or is_open else DONE


def status(options: argparse.Namespace) -> int:
    """How far a suite is, whoever works on it."""
    from fusionbench.cli.status import report_status

    report_status(options, work_of(options))
    return DONE


def latency(options: argparse.Namespace) -> int:
    """A latency session alone."""
    if options.forms is not None:
        from fusionbench.cli.forms import report_forms

        report_forms(options)
        return DONE
    from fusionbench.cli.measuring import report_latency

    report_latency(options)
    return DONE


def measure(options: argparse.Namespace) -> int:
    """Measures of trained models, of runs that are done."""
    from fusionbench.cli.measuring import report_measured

    return DONE if report_measured(options) else SOME_FAILED


def report(options: argparse.Namespace) -> int:
    """Tables and pictures from the records that are there."""
    from fusionbench.cli.reporting import report_suite

    report_suite(options)
    return DONE


def push(options: argparse.Namespace) -> int:
    """Mirror to W&B what was not sent yet."""
    from fusionbench.cli.publishing import going_on, mirror_records

    work = work_of(options)
    with going_on():
        mirror_records(options, work.suite, work.store, work.runs)
    tell(work.store)
    return DONE


def dashboard(options: argparse.Namespace) -> int:
    """A workspace and a report with W&B."""
    from fusionbench.cli.publishing import make_dashboard

    work = work_of(options)
    written(work.suite, work.store, made(work.suite, work.store))  # The artifact holds the tables as they are now.
    make_dashboard(options, work.suite, work.store, work.runs)
    tell(work.store)
    return DONE


def targets(options: argparse.Namespace) -> int:
    """Which number of parameters a matched suite may ask for."""
    from fusionbench.cli.targets import targets_page

    work = work_of(options)
    print(targets_page(options, work.suite, work.runs))
    return DONE


def cite(options: argparse.Namespace) -> int:
    """BibTeX of what the suite uses."""
    from fusionbench.report.cite import bibliography

    work = work_of(options)
    print(bibliography(work.runs, work.suite.measures), end="")
    return DONE


def selftest(options: argparse.Namespace) -> int:
    """Whether training works on this machine, and gives on several devices what it gives on one."""
    from fusionbench.cli.selftest import report_selftest

    return DONE if report_selftest(options) else SOME_FAILED


def inspect(options: argparse.Namespace) -> int:
    """What a table of the user's own holds."""
    from fusionbench.cli.inspecting import inspect_table

    inspect_table(options)
    return DONE


def recipe(options: argparse.Namespace) -> int:
    """A known data set's layout becomes a table and a suite."""
    from fusionbench.cli.recipes import show_recipe

    show_recipe(options)
    return DONE


def schema(_: argparse.Namespace) -> int:
    """The JSON Schema of suite files."""
    from fusionbench.plan.json_schema import schema_text

    print(schema_text(), end="")
    return DONE


VERBS = {
    "list": list_,
    "plan": plan,
    "prepare": prepare,
    "run": run,
    "status": status,
    "latency": latency,
    "measure": measure,
    "report": report,
    "push": push,
    "dashboard": dashboard,
    "targets": targets,
    "cite": cite,
    "selftest": selftest,
    "verify": verify,
    "export": export,
    "explain": explain,
    "inspect": inspect,
    "recipe": recipe,
    "schema": schema,
    "new": new,
    "contract": contract,
    "pack": pack,
    "unpack": unpack,
    "check": check,
}
