"""Small suites that really run, in worker processes, through the command line's own entry."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionbench.cli.main import main

NUMBERS = itertools.count()
OWN_STRATEGIES = {
    "raises": "raise RuntimeError('no idea')",
    "diverges": "return Prediction(self.head(pooled) * float('nan'))",
    "dies": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "second_raises": "assert not self.training or self.trainer.global_rank < 1, 'only here'; "
    "return Prediction(self.head(pooled))",
    "exits": "import os; print('so far so good', flush=True); os._exit(3)",
    "second_exits": "import os\n        if self.training and self.trainer.global_rank: os._exit(0)\n"
    "        return Prediction(self.head(pooled))",
    "hangs": "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here I stay', flush=True)\n"
    "        while True: time.sleep(60)",
    "second_hangs": "import time\n        if self.training and self.trainer.global_rank: time.sleep(600)\n"
    "        return Prediction(self.head(pooled))",
    "computes_for_ever": "while True: pooled.sum()",
    "hangs_once": "import os, pathlib, time; mark = pathlib.Path('hung')\n"
    "        if not mark.exists(): mark.touch(); time.sleep(600)\n"
    "        return Prediction(self.head(pooled))",
    "slow": "import time; time.sleep(0.05); return Prediction(self.head(pooled))",
    "works": "return Prediction(self.head(pooled))",
    "unbuildable": "return Prediction(self.head(pooled))",
    "unsuited": "return Prediction(self.head(pooled))",
}
TEMPLATE = '''"""One of the user's own: {name}."""
from fusionbench.fusion.base import FusionModule, Prediction
from fusionbench.fusion.blocks import mlp_head, stacked


class Own(FusionModule):
    def __init__(self, setting):
        super().__init__(setting)
        if "{name}" == "unbuildable":
            raise ValueError("no such shape")
        self.head = mlp_head(2 * setting.width, setting)

    @classmethod
    def unsuitable(cls, setting):
        return "needs a third hand" if "{name}" == "unsuited" else ""

    def fuse(self, encoded):
        pooled = stacked(encoded)[0].flatten(1)
        {body}
'''


@dataclass
class Bench:
    """A folder to run suites in."""

    folder: Path
    data: Path
    package: str
    """The user's own package: another name in every test, since Python keeps what it has imported."""

    def suite(self, **changes: Any) -> str:
        """Write a suite file: digits, concat and late, two seeds, one epoch, unless changed."""
        tree = {
            "name": "tiny",
            "datasets": ["digits"],
            "strategies": ["concat", "late"],
            "seeds": 2,
            "budget": {"epochs": 1},
            "measures": ["size"],
            **changes,
        }
        path = self.folder / "tiny.yaml"
        path.write_text(json.dumps(tree))
        return str(path)

    def own(self, *names: str) -> list[str]:
        """Write strategies of the user's own; their dotted names."""
        (self.folder / self.package).mkdir(exist_ok=True)
        for name in names:
            text = TEMPLATE.format(name=name, body=OWN_STRATEGIES[name])
            (self.folder / self.package / f"{name}.py").write_text(text)
        return [f"{self.package}.{name}" for name in names]

    def arguments(self, *words: str, results: str = "results") -> list[str]:
        """The words with this bench's folders."""
        return [*words, "--data", str(self.data), "--results", str(self.folder / results)]

    def run(self, suite: str, *words: str, results: str = "results") -> int:
        """`fusionbench run` in this process, two workers; its exit code."""
        return main(self.arguments("run", suite, "--workers", "2", *words, results=results))

    def records(self, results: str = "results") -> dict[str, dict[str, Any]]:
        """Every record that is there, by key."""
        found = [json.loads(path.read_text()) for path in (self.folder / results).rglob("*.json") if is_record(path)]
        return {record["key"]: record for record in found}

    def scores(self, results: str = "results") -> dict[str, str]:
        """By key, all that has to be the same wherever and however often a run is done: as text, byte for byte."""
        same = ("scores", "validation", "curves", "status", "data", "epochs_run")
        return {key: json.dumps([r[name] for name in same], sort_keys=True) for key, r in self.records(results).items()}

    def start(self, suite: str, *words: str, results: str = "results") -> subprocess.Popen[str]:
        """`fusionbench run` as a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "fusionbench.cli", *self.arguments("run", suite, *words, results=results)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            start_new_session=True,
        )

    def wait_for_records(self, process: subprocess.Popen[str], count: int, results: str = "results") -> None:
        """Until so many records are there, or the process has ended."""
        while process.poll() is None and len(self.records(results)) < count:
            time.sleep(0.02)


def is_record(path: Path) -> bool:
    """Not a measure, not a latency session, not something half-written."""
    return path.stem.count(".") == 0 and path.parent.name != "latency"


def kill_tree(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the launcher, its server and all workers at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
