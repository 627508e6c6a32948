"""A whole suite on a file system that refuses what FUSE and network ones refuse: a library answers in its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_suites import Bench

COMPILER = shutil.which("cc") or shutil.which("gcc")
LIBRARY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <dlfcn.h>
#define REFUSE(number) { errno = number; return -1; }
struct timespec;
int link(const char *a, const char *b) REFUSE(ENOSYS)
int linkat(int d, const char *a, int e, const char *b, int f) REFUSE(ENOSYS)
int flock(int fd, int op) REFUSE(ENOLCK)
int chmod(const char *a, mode_t m) {
    static int (*real)(const char *, mode_t);
    if (!strstr(a, "pymp-")) REFUSE(EPERM)  // The folder for temporary files, where sockets lie, is another one.
    if (!real) real = dlsym(RTLD_NEXT, "chmod");
    return real(a, m);
}
int fchmod(int fd, mode_t m) REFUSE(EPERM)
int fchmodat(int d, const char *a, mode_t m, int f) REFUSE(EPERM)
int utimensat(int d, const char *a, const struct timespec *t, int f) REFUSE(EPERM)
int futimens(int fd, const struct timespec *t) REFUSE(EPERM)
int fsync(int fd) REFUSE(EINVAL)
int rename(const char *a, const char *b) {
    static int (*real)(const char *, const char *);
    if (!access(b, F_OK)) REFUSE(EEXIST)
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    return real(a, b);
}
"""


@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs a C compiler and Linux's LD_PRELOAD")
def test_a_suite_loses_no_record_where_calls_are_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "refuse.c").write_text(LIBRARY)
    library, data = tmp_path / "refuse.so", tmp_path / "data"
    data.mkdir()
    subprocess.run(
        [str(COMPILER), "-shared", "-fPIC", "-o", str(library), str(tmp_path / "refuse.c"), "-ldl"], check=True
    )
    suite = bench.suite(strategies=["concat", *bench.own("raises")], seeds=1)
    words = ["run", suite, "--workers", "1", "--data", str(data), "--results", str(bench.folder / "results")]
    for again in ([], ["--again", "failed"]):
        done = subprocess.run(
            [sys.executable, "-m", "fusionbench.cli", *words, *again],
            capture_output=True,
            text=True,
            cwd=bench.folder,
            env={**os.environ, "LD_PRELOAD": str(library)},
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, ""), done
        assert sorted(record["status"] for record in bench.records().values()) == ["done", "failed"]
    assert len(list((bench.folder / "results").rglob("*.npz"))) == 1
    assert not list((bench.folder / "results").rglob("*.lock"))
    assert not list((bench.folder / "results").rglob(".*.tmp"))
