"""The verbs that are about one trained model: written in another form, or explained."""

from __future__ import annotations

import argparse

DONE = 0


def export(options: argparse.Namespace) -> int:
    """A file that runs without fusionbench."""
    from fusionbench.cli.exporting import report_exported

    report_exported(options)
    return DONE


def explain(options: argparse.Namespace) -> int:
    """Which inputs of one test row speak for the model's answer."""
    from fusionbench.cli.explaining import report_explained

    report_explained(options)
    return DONE
