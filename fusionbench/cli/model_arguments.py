"""What the verbs take that are about one trained model, or about its forms; imports nothing: help answers at once."""

from __future__ import annotations

import argparse

EXPORT = "the trained model of one record as a file that runs without fusionbench: torch.export or ONNX"
EXPLAIN = "which inputs of one test row speak for the model's answer, as a picture"
KEY = "12 hex digits of a record, or the first of them; SUITE/KEY where several suites have it"


def add_model_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`export` and `explain`."""
    _add_export(verbs.add_parser("export", help=EXPORT, description=EXPORT))
    _add_explain(verbs.add_parser("explain", help=EXPLAIN, description=EXPLAIN))


def add_forms(entry: argparse.ArgumentParser) -> None:
    """What `latency` takes."""
    about = "forms of the trained models, each timed and scored: eager,torch-export,compiled,onnx,int8"
    entry.add_argument("--forms", metavar="A,B,...", help=about)


def _add_export(entry: argparse.ArgumentParser) -> None:
    about = "(default: onnx, which needs the extra `onnx`)"
    entry.add_argument("key", metavar="KEY", help=KEY)
    entry.add_argument("--format", choices=["torch-export", "onnx"], default="onnx", help=about)
    entry.add_argument("--out", metavar="PATH", help="file or folder (default: KEY.onnx or KEY.pt2, here)")
    _add_places(entry)
    entry.set_defaults(verb="export")


def _add_explain(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("key", metavar="KEY", help=KEY)
    entry.add_argument("--example", metavar="N", type=int, required=True, help="which test row, from 0")
    about = "whose logit is explained: its number, or its name (default: the model's answer)"
    entry.add_argument("--class", dest="of_class", metavar="CLASS", help=about)
    entry.add_argument("--out", metavar="PATH", help="file (.png, .pdf, .svg) or folder (default: KEY-N.png, here)")
    _add_places(entry)
    entry.set_defaults(verb="explain")


def _add_places(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("--results", metavar="DIR", default="results", help="results folder (default: results)")
    entry.add_argument("--data", metavar="DIR", help="data folder (default: $FUSIONBENCH_DATA or ~/.cache/fusionbench)")
    entry.add_argument("--debug", action="store_true", help="show tracebacks and the worker's output")
