"""GPUs and cores shared out among workers: pure functions, since no GPU is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionbench.core.errors import UserError
from fusionbench.engines import gpus
from fusionbench.engines.gpus import gpus_of, refuse_too_many, refuse_uneven, visible_gpus, workers_by_default

FOUR = ("0", "1", "2", "3")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with four GPUs, and torch for them."""
    for number in range(4):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    monkeypatch.setattr(gpus, "version", lambda _: "2.9.0+cu130")
    return tmp_path


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        (None, FOUR),
        ("2,3", ("2", "3")),
        ("GPU-1a, GPU-2b", ("GPU-1a", "GPU-2b")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
    ],
)
def test_the_gpus_are_those_that_the_environment_names_else_all(
    hidden: str | None, expected: tuple[str, ...], driver: Path
) -> None:
    environment = {} if hidden is None else {"CUDA_VISIBLE_DEVICES": hidden}
    assert visible_gpus(environment, driver) == expected


def test_a_machine_without_a_driver_or_a_torch_without_cuda_has_none(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visible_gpus({}, driver / "absent") == ()
    monkeypatch.setattr(gpus, "version", lambda _: "2.9.0+cpu")
    assert visible_gpus({}, driver) == ()


def test_workers_that_run_at_once_have_gpus_of_their_own_while_they_last() -> None:
    assert [gpus_of(slot, 1, FOUR) for slot in range(5)] == [("0",), ("1",), ("2",), ("3",), ("0",)]
    assert [gpus_of(slot, 2, FOUR) for slot in range(3)] == [("0", "1"), ("2", "3"), ("0", "1")]
    assert [gpus_of(slot, 3, FOUR) for slot in range(2)] == [("0", "1", "2"), ("3", "0", "1")]
    assert gpus_of(1, 2, ()) == ()


@pytest.mark.parametrize(
    ("devices", "there", "cores", "workers"),
    [(1, (), 8, 8), (2, (), 8, 4), (3, (), 2, 1), (1, FOUR, 8, 4), (2, FOUR, 8, 2), (3, FOUR, 8, 1), (1, FOUR, 2, 2)],
)
def test_so_many_runs_at_a_time_as_gpus_or_else_cores_allow(
    devices: int, there: tuple[str, ...], cores: int, workers: int
) -> None:
    assert workers_by_default(devices, there, cores) == workers


@pytest.mark.parametrize(("devices", "there"), [(0, ()), (-1, FOUR), (9, ()), (5, FOUR)])
def test_more_devices_than_there_are_is_refused(devices: int, there: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=rf"--devices {devices}: .* from 1 to {len(there) or 8}"):
        refuse_too_many(devices, there, 8)


def test_a_batch_that_cannot_be_shared_out_is_refused_and_the_nearest_one_named() -> None:
    refuse_uneven(4, 128)
    with pytest.raises(UserError, match=r"batch_size=126") as error:
        refuse_uneven(3, 128)
    assert len(str(error.value).splitlines()) == 2
