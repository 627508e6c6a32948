"""`fusionbench explain`: which inputs of one test row speak for a model's answer."""

from __future__ import annotations

import argparse
from pathlib import Path

from fusionbench.bench.jobs import ExplainJob
from fusionbench.cli.exporting import of_model, of_repeat, target, titled
from fusionbench.core.errors import UserError
from fusionbench.core.extras import refuse_without_captum
from fusionbench.core.files import write_over
from fusionbench.core.surroundings import alone
from fusionbench.records.find import Found, find
from fusionbench.report.explained import explanation, lines

ENDINGS = (".png", ".pdf", ".svg")


def report_explained(options: argparse.Namespace) -> None:
    """Explain, print, draw.

    Raises:
        UserError: no such record or row, weights that are not what they should be, or a model that cannot be
            explained; one line.
    """
    refuse_without_captum("explain")
    found = find(Path(options.results), options.key)
    _refuse_other_row(found, options.example)
    path = target(options.out, f"{found.record.key}-{options.example}.png")
    if path.suffix not in ENDINGS:
        raise UserError(f"--out {path}: a picture ends in {', '.join(ENDINGS)}")
    message = of_model(
        found, options, lambda work: lambda run: ExplainJob(work.place(), run, options.example, options.of_class)
    )
    said = explanation(f"{titled(found)}, test row {options.example}", message.facts)
    for line in (*of_repeat(message.facts), *lines(said)):
        print(line)
    with alone():  # matplotlib reads MPLBACKEND when it is imported.
        from fusionbench.report.explained_picture import explained_picture
        from fusionbench.report.figures import saved

        content = saved(explained_picture(said), path.suffix[1:])
    try:
        write_over(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    print(f"written: {path}")


def _refuse_other_row(found: Found, example: int) -> None:
    """UserError for a row that the test rows do not have; of a record that is not done, what is wrong is said later."""
    data = found.record.data
    count = data.counts.get("test", 0) if data else 0
    if found.record.status == "done" and not 0 <= example < count:
        raise UserError(f"--example {example}: {data.name if data else ''} has {count:,} test rows, 0 to {count - 1}")
