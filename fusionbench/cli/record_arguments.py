"""What the verbs of records take: verify, pack, unpack and check. Imports nothing else of fusionbench."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

PACK = "the records of each table in one file, in a folder that can be a repository of its own; what is there stays"
UNPACK = "the files of packed tables below a results folder, byte for byte; what is there stays"
CHECK = "records valid and in their place; tables of shipped suites, and README and docs beside them, as records say"
VERIFY = "train the run of one record again and compare; the record stays as it is"


def add_record_verbs(verbs: Verbs) -> None:
    """Add them to a parser."""
    _add_verify(verbs.add_parser("verify", help=VERIFY, description=VERIFY))
    _add_pack(verbs.add_parser("pack", help=PACK, description=PACK))
    _add_unpack(verbs.add_parser("unpack", help=UNPACK, description=UNPACK))
    _add_check(verbs.add_parser("check", help=CHECK, description=CHECK))


def _add_verify(entry: argparse.ArgumentParser) -> None:
    about = "12 hex digits of a record, or the first of them; SUITE/KEY where several suites have it"
    entry.add_argument("key", metavar="KEY", help=about)
    entry.add_argument("--results", metavar="DIR", default="results", help="results folder (default: results)")
    entry.add_argument("--data", metavar="DIR", help="data folder (default: $FUSIONBENCH_DATA or ~/.cache/fusionbench)")
    entry.add_argument("--threads", metavar="N", type=int, help="torch threads (default: as the record says)")
    entry.add_argument("--devices", metavar="N", type=int, help="GPUs (or processes) (default: as the record says)")
    entry.add_argument("--no-stored-encodings", action="store_true", help="run frozen encoders in every step, not once")
    about = "where the record is confirmed, add a line to FILE: verified.jsonl of a results folder or of packed tables"
    entry.add_argument("--mark", metavar="FILE", help=about)
    entry.add_argument("--debug", action="store_true", help="show tracebacks and the worker's output")
    entry.set_defaults(verb="verify")


def _add_check(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("results", nargs="?", default="results", help="results folder (default: results)")
    entry.set_defaults(verb="check", debug=False)


def _add_pack(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("suites", nargs="*", metavar="SUITE", help="folders of the results folder (default: all)")
    entry.add_argument("--to", metavar="DIR", required=True, help="the folder of packed tables")
    entry.add_argument("--results", metavar="DIR", default="results", help="results folder (default: results)")
    entry.set_defaults(verb="pack", debug=False)


def _add_unpack(entry: argparse.ArgumentParser) -> None:
    about = "a folder of packed tables, one of its files (.jsonl), or the URL of either"
    entry.add_argument("source", metavar="SOURCE", help=about)
    entry.add_argument("--results", metavar="DIR", default="results", help="results folder (default: results)")
    entry.set_defaults(verb="unpack", debug=False)
