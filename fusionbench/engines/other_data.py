"""Data that are not those of the records that are there."""

from __future__ import annotations

from fusionbench.bench.jobs import Message, PrepareJob
from fusionbench.core.errors import UserError
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store


def refuse_other_data(suite: Suite, store: Store, job: PrepareJob, message: Message) -> None:
    """Records made from other data than those that are here now: an error, never a skip.

    Args:
        suite: whose records.
        store: where they are.
        job: what prepared the data of one dataset.
        message: what it said.

    Raises:
        UserError: some record's data had another fingerprint, or its parts other rows at the same seed.
    """
    sample, fingerprint = job.runs[0], str(message.facts["fingerprint"])
    of_dataset = [run for run in suite.runs() if run.dataset == sample.dataset]
    before = [found.fingerprint for run in of_dataset if (found := store.glance(run)).status == "done"]
    others = [one for one in before if one != fingerprint]
    if others:
        raise UserError(
            f"{sample.dataset.name}: the data have changed since {len(others)} of these runs were recorded "
            f"(fingerprint {others[0][:12]} then, {fingerprint[:12]} now).\n"
            f"Bring the old data back (--data), or give the new results their own folder (--results)."
        )
    split = str(message.facts["split_sha256"])
    of_seed = (store.read(run) for run in of_dataset if run.seed == sample.seed)
    moved = sum(bool(one and one.status == "done" and one.data and one.data.split_sha256 != split) for one in of_seed)
    if moved:
        raise UserError(
            f"{sample.dataset.name}: at seed {sample.seed} each part has other rows than when {moved} of these "
            "runs were recorded;\ngive the new results their own folder (--results)"
        )
