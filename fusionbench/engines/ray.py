"""The engine `ray`: a task per run on a Ray cluster; preparing stays here, records come here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fusionbench.bench.jobs import Place
from fusionbench.engines.local import Watcher
from fusionbench.engines.ray_cluster import connected
from fusionbench.engines.ray_pool import RayPool
from fusionbench.engines.runner import Runner
from fusionbench.plan.engines import Ray
from fusionbench.plan.suite import Suite


@contextmanager
def ray_engine(
    suite: Suite,
    place: Place,
    settings: Ray,
    watcher: Watcher,
    *,
    workers: int | None,
    devices: int,
    cores: int,
    gpus: tuple[str, ...],
    keep_encodings: bool,
) -> Iterator[Runner]:
    """The engine, for as long as its cluster is connected.

    Args:
        suite: what to train.
        place: where; folders as this machine has them.
        settings: the user's.
        watcher: shows what happens.
        workers: runs at a time at most; None: as many as there is room for.
        devices: that train a run together.
        cores: of this machine.
        gpus: likewise.
        keep_encodings: whether stored encodings stay when the runs that read them are done.

    Raises:
        UserError: there is no such cluster, or it has no room for a run.
    """
    data = None if place.data is None else place.data.absolute()
    place = replace(place, results=place.results.absolute(), data=data)
    cpus = float(devices * place.threads)
    cores = max(cores, int((workers or 1) * cpus))  # As many workers as are asked for, as without Ray.
    with connected(settings, cpus, devices, cores, len(gpus), debug=place.debug) as cluster:
        known: dict[str, str] = {}  # Filled when the data here are prepared.
        room = max(1, cluster.room())

        def pool(most: int, watcher: Watcher, _: tuple[str, ...]) -> RayPool:
            # What there is room for now is no limit: nodes may come.
            return RayPool(workers if most == (workers or room) else most, watcher, cluster, known)

        yield Runner(
            suite,
            place,
            workers or room,
            watcher,
            devices,
            gpus,
            keep_encodings,
            make_pool=pool,
            times_anywhere=True,
            fingerprints=known,
        )
