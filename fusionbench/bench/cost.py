"""What a run costs besides time: memory at its peak, and energy where this machine counts it. It decides no result.

memory_bytes    by how much it rose, from when data and model are built to the end of the test
memory_of       "process": its anonymous memory; "device": what torch held on the GPU, the model in it
joules          by "processor" and "device": all that ran there meanwhile, other processes too
uncounted       what of these could not be counted, and why
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from fusionbench.bench.energy import Counter, Uncounted, counters
from fusionbench.bench.memory import DeviceMemory, ProcessMemory, memory_here

EVERY_S = 0.02
"""Memory is looked at so often: a look takes some microseconds."""
LOOKS = 500
"""So many looks at memory for one at the counters of energy."""


@contextmanager
def counted() -> Iterator[dict[str, Any]]:
    """Around what is to be counted; what it gives is filled when it ends."""
    found: dict[str, Any] = {}
    memory, (energy, uncounted) = memory_here(), counters()
    over = Event()
    looking = Thread(target=_look, args=(memory, energy, over), daemon=True)
    looking.start()
    try:
        yield found
    finally:
        over.set()
        looking.join()
        found |= _memory(memory, uncounted) | _energy(energy, uncounted)
        found |= {"uncounted": uncounted} if uncounted else {}


def _look(memory: ProcessMemory | DeviceMemory | None, energy: Mapping[str, Counter], over: Event) -> None:
    looks = 0
    while not over.wait(EVERY_S):
        looks += 1
        try:
            if memory is not None:
                memory.look()
            for counter in energy.values() if looks % LOOKS == 0 else ():
                counter.look()
        except (OSError, ValueError, Uncounted):
            return  # What is wrong shows at the end, where it is said.


def _memory(memory: ProcessMemory | DeviceMemory | None, uncounted: dict[str, str]) -> dict[str, Any]:
    try:
        if memory is not None:
            return {"memory_bytes": memory.peak(), "memory_of": memory.of}
    except (OSError, ValueError):
        pass
    uncounted["memory"] = "this system does not say how much anonymous memory a process has"
    return {}


def _energy(energy: Mapping[str, Counter], uncounted: dict[str, str]) -> dict[str, Any]:
    joules: dict[str, float] = {}
    for name, counter in energy.items():
        try:
            joules[name] = round(counter.joules(), 3)
        except Uncounted as reason:
            uncounted[name] = str(reason)
    return {"joules": joules} if joules else {}
