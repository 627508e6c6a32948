"""What each engine costs: seconds to start, and seconds per run beyond its training; and whether all find the same.

Each engine does a few runs of concat on digits, and many, one at a time, in commands of their own. A run costs the
difference of both times by the number of runs between, less what records state for training; starting is what is left
of the few. The load is that of this machine, 1 for one process that computes: where others work too, times say nothing
of engines. SLURM is a cluster of one node on this machine (tests/engines/slurm_node.py) unless SLURM_CONF names one.

    python benchmarks/engines.py [--few 2] [--many 22] [--epochs 3] [--engines local,ray,slurm]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests" / "engines"
SAME = ("scores", "validation", "curves", "status", "epochs_run")


def main() -> None:
    """Few and many runs by each engine."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--few", type=int, default=2)
    options.add_argument("--many", type=int, default=22)
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--engines", default="local,ray,slurm")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, node = Path(name), None
        if "slurm" in chosen.engines and "SLURM_CONF" not in os.environ:
            sys.path.append(str(TESTS))
            from slurm_node import SlurmNode

            node = SlurmNode(folder / "cluster")
            node.start()
        try:
            found = {engine: _measured(engine, folder, chosen) for engine in chosen.engines.split(",")}
        finally:
            if node is not None:
                node.stop()
    first, *others = found.values()
    print(f"scores, curves and validation byte for byte the same: {all(one == first for one in others)}")


def _measured(engine: str, folder: Path, chosen: argparse.Namespace) -> dict[str, str]:
    took, trained, records = {}, 0.0, list[dict[str, object]]()
    for count in (chosen.few, chosen.many):
        suite = {"name": "engines", "datasets": ["digits"], "strategies": ["concat"], "seeds": count}
        path, results = folder / "engines.yaml", folder / engine / str(count)
        path.write_text(json.dumps({**suite, "budget": {"epochs": chosen.epochs}}))
        command = [sys.executable, "-m", "fusionbench.cli", "run", str(path), "--results", str(results)]
        started = time.perf_counter()
        subprocess.run([*command, "--workers", "1", "--engine", engine], check=True, capture_output=True)
        took[count] = time.perf_counter() - started
        records = [json.loads(one.read_text()) for one in results.glob("*/digits/concat/????????????.json")]
        trained = sum(float(str(one["train_seconds"])) for one in records) / count
    each = (took[chosen.many] - took[chosen.few]) / (chosen.many - chosen.few)
    start = took[chosen.few] - chosen.few * each
    load = os.getloadavg()[0]
    said = f"starts in {start:.1f} s; a run {each:.2f} s, of which training {trained:.2f} s (load {load:.1f})"
    print(f"{engine}: {said}", flush=True)
    return {str(one["key"]): json.dumps([one[name] for name in SAME], sort_keys=True) for one in records}


if __name__ == "__main__":
    main()
