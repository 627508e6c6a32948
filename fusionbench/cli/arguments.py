"""What the command line takes: verbs and their arguments. Imports nothing that is heavy: help answers at once."""

from __future__ import annotations

import argparse

from fusionbench.cli.engines import add_engine_arguments
from fusionbench.cli.model_arguments import add_forms, add_model_verbs
from fusionbench.cli.record_arguments import add_record_verbs

SUITE_VERBS = {
    "plan": "the runs, their keys, which are done",
    "prepare": "download, verify and convert the data, train encoders that the suite wants trained beforehand",
    "run": "train and measure what is not done, then report",
    "status": "how far it is: done, running (where, epoch, time left), failed, waiting; from any terminal or machine",
    "latency": "a latency session alone; with --forms, of trained models in several forms, with the score of each",
    "measure": "measures of trained models, of runs that are done: from their weights, or trained again",
    "report": "tables and pictures from the records",
    "push": "send to Weights & Biases what was not sent yet",
    "dashboard": "a workspace and a report in Weights & Biases, with all runs and a run for each strategy's mean",
    "targets": "how wide each strategy's heads are at numbers of fusion parameters, and which number to choose",
    "cite": "BibTeX of fusionbench and of every dataset, strategy, encoder and measure the suite uses",
}
LIST = "what a suite may name: a table on a terminal, Markdown in a pipe; with a name, all of that one"
RECIPE = "the layout of a known data set, as its authors arranged it, becomes a table for the data set manifest"
INSPECT = "what a table of your own holds: types, missing cells, classes, equal rows, broken files; writes a suite"
NEW = "a file to begin a strategy, dataset or encoder with, which keeps its contract"
CONTRACT = "whether a strategy, dataset or encoder keeps its contract, check by check; about a minute"


def parser() -> argparse.ArgumentParser:
    """The parser; a parsed line has `verb`, and for verbs of a suite all that `_add_suite_arguments` adds."""
    made = argparse.ArgumentParser(
        prog="fusionbench",
        description="Which way of fusing modalities is best, at what cost? One suite file, one command, one table.",
        epilog="Start with: fusionbench run quickstart",
    )
    made.set_defaults(verb="")
    verbs = made.add_subparsers(title="verbs", metavar="VERB")

    _add_list(verbs.add_parser("list", help=LIST, description=LIST))

    for verb, text in SUITE_VERBS.items():
        entry = verbs.add_parser(verb, help=text, description=text)
        _add_suite_arguments(entry)
        _add_own_arguments(entry, verb)
        entry.set_defaults(verb=verb)

    text = "trains every strategy on one device and on several, and compares; about a minute"
    entry = verbs.add_parser("selftest", help=text, description=text)
    entry.add_argument("--devices", metavar="N", type=int, help="default: all GPUs, or 2 processes without any")
    entry.add_argument("--data", metavar="DIR", help="data folder (default: $FUSIONBENCH_DATA or ~/.cache/fusionbench)")
    entry.set_defaults(verb="selftest", debug=False)

    add_model_verbs(verbs)

    _add_inspect(verbs.add_parser("inspect", help=INSPECT, description=INSPECT))
    _add_recipe(verbs.add_parser("recipe", help=RECIPE, description=RECIPE))

    text = "the JSON Schema of suite files, by which editors complete and check them"
    entry = verbs.add_parser("schema", help=text, description=text)
    entry.set_defaults(verb="schema", debug=False)

    _add_new(verbs.add_parser("new", help=NEW, description=NEW))
    _add_contract(verbs.add_parser("contract", help=CONTRACT, description=CONTRACT))

    add_record_verbs(verbs)
    return made


def _add_list(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("what", nargs="?", choices=["suites", "datasets", "strategies", "encoders", "measures"])
    about = "one of them: its page; of a suite, its file"
    entry.add_argument("name", nargs="?", metavar="NAME", help=about)
    entry.add_argument("--long", action="store_true", help="of strategies, a page for each: formula, counts, source")
    entry.set_defaults(verb="list", debug=False)


def _add_recipe(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("name", metavar="NAME", help="cmu_mosei, cmu_mosi, cremad, food101, hateful_memes or mmimdb")
    entry.add_argument("folder", metavar="FOLDER", help="the data set's")
    entry.add_argument("--out", metavar="DIR", help="where the table goes (default: into FOLDER)")
    entry.set_defaults(verb="recipe", debug=False)


def _add_new(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("kind", choices=["strategy", "dataset", "encoder"])
    about = "weighted (weighted.py, here), mine.weighted (mine/weighted.py), or the path of a file"
    entry.add_argument("name", metavar="NAME", help=about)
    entry.set_defaults(verb="new", debug=False)


def _add_contract(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("name", metavar="NAME", help="a shipped one, package.module, package.module:Net or file.py:Net")
    entry.add_argument("--kind", choices=["strategy", "dataset", "encoder"], help="where the name does not show it")
    about = "of a network that knows them by name: what the modalities of its tasks are called (2, 3 or 5)"
    entry.add_argument("--modalities", metavar="A,B,...", help=about)
    about = "of a dataset; may be repeated"
    entry.add_argument("--option", metavar="NAME=VALUE", action="append", default=[], help=about)
    entry.add_argument("--data", metavar="DIR", help="data folder (default: $FUSIONBENCH_DATA or ~/.cache/fusionbench)")
    entry.add_argument("--debug", action="store_true", help="show where a check failed")
    entry.set_defaults(verb="contract")


def _add_inspect(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("file", metavar="FILE", help="a table: .csv, .tsv, .jsonl or .parquet")
    entry.add_argument("--write", metavar="SUITE", help="write a suite to start from")
    entry.add_argument(
        "--label", metavar="A,B,...", default="", help="the column of labels, or several (* stands for any)"
    )
    entry.add_argument("--kind", choices=["multiclass", "multilabel", "regression"], help="of the task")
    entry.add_argument("--separator", metavar="C", default="", help="between several labels in one cell")
    entry.add_argument("--split", metavar="COLUMN", default="", help="which says train, validation or test")
    entry.add_argument("--group", metavar="COLUMN", default="", help="the same where rows belong together")
    entry.add_argument("--folder", metavar="DIR", default="", help="that files lie in (default: the table's own)")
    entry.add_argument("--encoding", metavar="NAME", default="utf-8", help="of a text file (default: utf-8)")
    entry.add_argument("--delimiter", metavar="C", default="", help="between cells of CSV (default: a comma)")
    entry.add_argument("--no-files", action="store_true", help="leave the files closed that cells name")
    entry.add_argument("--data", metavar="DIR", help="data folder, where FILE is looked for too")
    entry.set_defaults(verb="inspect", debug=False)


def _add_run_arguments(entry: argparse.ArgumentParser) -> None:
    entry.add_argument(
        "--devices",
        metavar="N",
        type=int,
        help="GPUs (or processes) that train a run together (default: 1)",
    )
    entry.add_argument(
        "--keep-encodings",
        action="store_true",
        help="leave what frozen encoders gave in the data folder when its runs are done",
    )
    about = "keep a run's state at epochs' borders from so much training on, to go on from after a kill (default: 600)"
    entry.add_argument("--checkpoint-after", metavar="SECONDS", type=float, help=about)
    about = "end a worker that neither computes nor says anything for so long, and try again, twice (default: 600)"
    entry.add_argument("--silent-after", metavar="SECONDS", type=float, help=about)
    entry.add_argument("--again", metavar="STATUS", help="do runs with these statuses again: failed,diverged")
    about = "begin nothing that would not be done by then: 90s, 10m, 1.5h, 1h30m; the same command goes on"
    entry.add_argument("--for", dest="limit", metavar="TIME", help=about)
    about = "with --wandb online, send each epoch's scores and the use of devices while a run lasts"
    entry.add_argument("--wandb-live", action="store_true", help=about)


def _add_own_arguments(entry: argparse.ArgumentParser, verb: str) -> None:
    """What one verb of a suite takes and the others do not."""
    if verb == "plan":
        about = "say how long it takes here, from a few timed steps of each row; prepares the data first"
        entry.add_argument("--time", action="store_true", help=about)
    if verb == "run":
        _add_run_arguments(entry)
        add_engine_arguments(entry)
    if verb in ("run", "push", "dashboard"):
        _add_wandb_arguments(entry, default=None if verb == "run" else "online")
    if verb == "measure":
        about = "which, by name, with options as the suite has them, else their defaults (default: the suite's own)"
        entry.add_argument("--measures", metavar="A,B,...", help=about)
    if verb == "latency":
        add_forms(entry)
    if verb == "status":
        about = "look again every so many seconds (default: 5) until nothing is left to do"
        entry.add_argument("--watch", metavar="SECONDS", nargs="?", type=float, const=5.0, help=about)
        entry.add_argument("--format", choices=["text", "json"], default="text", help="(default: text)")
    if verb == "targets":
        about = "fusion parameters to show the heads at, besides those of the suite's tracks; may be repeated"
        entry.add_argument("--target", metavar="N", type=int, action="append", default=[], help=about)
    if verb == "report":
        about = "print the tables in this form alone; html: write a page that opens without a network, report.html"
        entry.add_argument("--format", choices=["md", "latex", "csv", "html"], help=about)
        about = "of LaTeX, in this order: strategy,score,parameters,... (default: what fits one column of a paper)"
        entry.add_argument("--columns", metavar="A,B,...", help=about)
        entry.add_argument("--wide", action="store_true", help="of LaTeX, the table over both columns of a paper")
        entry.add_argument("--no-pictures", action="store_true", help="tables alone")


def _add_suite_arguments(entry: argparse.ArgumentParser) -> None:
    entry.add_argument("suite", metavar="SUITE", help="a suite file, or the name of a shipped one")
    entry.add_argument("--data", metavar="DIR", help="data folder (default: $FUSIONBENCH_DATA or ~/.cache/fusionbench)")
    entry.add_argument("--results", metavar="DIR", default="results", help="results folder (default: results)")
    entry.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="e.g. budget.epochs=2")
    entry.add_argument("--only", metavar="FIELD=VALUES", action="append", default=[], help="e.g. strategy=gated,late")
    about = "another strategy, such as mine.nets:Net or nets.py:Net, that alone runs, beside the records there are"
    entry.add_argument("--strategy", metavar="NAME", action="append", default=[], help=about)
    entry.add_argument(
        "--shard", metavar="K/N", default="1/1", help="share K of N, for N machines on one results folder"
    )
    entry.add_argument(
        "--workers", metavar="N", type=int, help="runs at a time (default: as many as the GPUs, or else cores, allow)"
    )
    entry.set_defaults(devices=None, keep_encodings=False, checkpoint_after=None, silent_after=None)
    entry.add_argument(
        "--no-stored-encodings",
        action="store_true",
        help="run frozen encoders in every step, not once; scores are the same but for roundings",
    )
    entry.add_argument("--threads", metavar="N", type=int, default=1, help="torch threads per run (default: 1)")
    entry.add_argument("--debug", action="store_true", help="show tracebacks and workers' output")


def _add_wandb_arguments(entry: argparse.ArgumentParser, default: str | None) -> None:
    text = "to files under the results folder, or to the server (default: online)"
    if default is None:
        text = "mirror the records to Weights & Biases: to files at the end, or each to the server once it is there"
    entry.add_argument("--wandb", choices=["offline", "online"], default=default, help=text)
    entry.add_argument(
        "--wandb-project", metavar="NAME", type=_wandb_name, default="fusionbench", help="(default: fusionbench)"
    )
    entry.add_argument("--wandb-entity", metavar="NAME", type=_wandb_name, help="user or team (default: your own)")


def _wandb_name(name: str) -> str:
    """Refused before anything trains, not after."""
    if not 1 <= len(name) <= 128 or set(name) & set("/\\#?%:"):
        raise argparse.ArgumentTypeError(f"{name!r}: give 1 to 128 characters, none of / \\ # ? % :")
    return name
