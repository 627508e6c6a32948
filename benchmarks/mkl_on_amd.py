"""Whether MKL leaves half of this processor unused: matrix products as they are, and with MKL told to use all it has.

MKL multiplies matrices for torch. On processors of another maker than Intel it does without AVX-512. A library with one
function, loaded before it, makes it look at what the processor can do instead (see docs/devices.md).

    python benchmarks/mkl_on_amd.py     needs gcc; prints GFLOPS of one thread, both ways, and their ratio
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"
SHAPES = ((2176, 128, 512), (2176, 512, 128), (128, 256, 2000), (1024, 1024, 1024))
"""(rows, summed over, columns): layers of a Transformer and of a head at a batch of 128, and a large square."""
TIMED = f"""
import time, torch
torch.set_num_threads(1)
for rows, inner, columns in {SHAPES}:
    left, right, count = torch.randn(rows, inner), torch.randn(columns, inner).t(), 0
    for _ in range(3):
        left @ right
    began = time.process_time()
    while time.process_time() - began < 0.5:
        left @ right
        count += 1
    print(2e-9 * rows * inner * columns * count / (time.process_time() - began))
"""


def main() -> None:
    """Both ways, shape by shape."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("no C compiler here: install gcc")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "all.c"), Path(folder, "all.so")
        source.write_text(SOURCE, encoding="utf-8")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        plain, told = _timed({}), _timed({"LD_PRELOAD": str(library)})
    for (rows, inner, columns), before, after in zip(SHAPES, plain, told, strict=True):
        ratio = f"{after / before:.2f} times"
        print(f"{rows} x {inner} x {columns}: {before:.0f} GFLOPS, {after:.0f} with all of the processor: {ratio}")


def _timed(variables: dict[str, str]) -> list[float]:
    done = subprocess.run([sys.executable, "-c", TIMED], env=os.environ | variables, capture_output=True, check=True)
    return [float(line) for line in done.stdout.split()]


if __name__ == "__main__":
    main()
