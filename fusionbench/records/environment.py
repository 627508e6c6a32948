"""Where a record was made: machine, versions, commit. Collected once per suite; no torch is imported for it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fusionbench.core.plugin_places import PACKAGE
from fusionbench.core.surroundings import noted

DISTRIBUTIONS = {"fusionbench": "multimodal-fusionbench"} | {
    name: name for name in ("torch", "lightning", "torchmetrics", "numpy", "scikit-learn")
}
PICK_KERNELS = ("sse4", "avx", "amx", "fma", "f16c", "asimd", "sve", "sme", "bf16", "i8mm")
"""How the names of instruction sets begin that torch, oneDNN, MKL and NumPy look for."""


def environment() -> dict[str, Any]:
    """Host (hashed), processor, system, versions, variables that pick kernels, threads or devices, and the commit."""
    return {
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:12],
        "cpu": _processor(),
        "instructions": instruction_sets(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(distribution) for name, distribution in DISTRIBUTIONS.items()},
        "variables": noted(os.environ),
        **_commit(PACKAGE.parent),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def emulates_bfloat16() -> bool:
    """Whether this processor is known not to compute in bfloat16, so that torch's convolutions in it crawl."""
    flags = _cpuinfo("flags")  # Only x86 under Linux has this line; of other machines nothing is known.
    return bool(flags) and "avx512bw" not in flags.split()


def instruction_sets() -> str:
    """Those that kernels are picked by, sorted, as Linux names them; empty where it does not say.

    Processors of one name need not have the same: a virtual machine may hide some.
    """
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()  # The second is Arm's.
    return " ".join(sorted(flag for flag in flags if flag.startswith(PICK_KERNELS)))


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(field: str) -> str:
    """The first line of that name in Linux's list of processors; empty if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")


def _commit(checkout: Path) -> dict[str, Any]:
    if not (checkout / ".git").exists():
        return {"commit": "", "dirty": False}
    commit = _git(checkout, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(checkout, "status", "--porcelain", "--", "fusionbench"))}


def _git(checkout: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(checkout), *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
