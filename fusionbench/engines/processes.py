"""A worker process: forked from the server, told all that it needs, and nothing of the program that started it.

multiprocessing would have each worker import that program's main module, to find what was defined there. A script
without `if __name__ == "__main__":` would then run again in every worker. Ours need nothing from it.
"""

from __future__ import annotations

import io
import os
import sys
from multiprocessing import current_process
from multiprocessing.context import ForkServerProcess, set_spawning_popen
from multiprocessing.forkserver import read_signed
from multiprocessing.popen_forkserver import Popen
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import dump
from multiprocessing.util import Finalize
from typing import Any

from fusionbench.engines.forkserver import ensure_server


class WorkerProcess(ForkServerProcess):
    """Used as `multiprocessing.Process` is; what it runs is a function of a module, never of the main program."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Launch:  # noqa: N802  (multiprocessing calls it so)
        return _Launch(process_obj)


class _Launch(Popen):
    """As Python's own launch from a forkserver, but from our server, and without the main module."""

    _fds: list[int]

    def _launch(self, process_obj: BaseProcess) -> None:
        told = io.BytesIO()
        set_spawning_popen(self)
        try:
            dump(_surroundings(process_obj.name), told)
            dump(process_obj, told)
        finally:
            set_spawning_popen(None)
        self.sentinel, pipe = ensure_server().connect_to_new_process(self._fds)
        # The worker sees its parent's end when this copy closes.
        self.finalizer = Finalize(self, _close, (os.dup(pipe), self.sentinel))
        try:
            with os.fdopen(pipe, "wb") as file:
                file.write(told.getbuffer())
            self.pid = read_signed(self.sentinel)  # Waits for the server, seconds when it has just been started.
        except BaseException:
            self.finalizer()
            raise


def _close(*handles: int) -> None:
    for handle in handles:
        os.close(handle)


def _surroundings(name: str) -> dict[str, Any]:
    """What multiprocessing's `spawn.prepare` sets up in the worker before anything is unpickled there."""
    here = os.getcwd()  # noqa: PTH109
    return {
        "name": name,
        "authkey": current_process().authkey,
        "sys_path": [folder or here for folder in sys.path],
        "sys_argv": sys.argv,
        "orig_dir": here,
        "dir": here,
    }
