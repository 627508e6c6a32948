"""Converted arrays: whole or not at all, once for all processes, made anew when their origin changes."""

import errno
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusionbench.core.errors import UserError
from fusionbench.data.store import fingerprint_of, is_prepared, open_arrays, prepared, prepared_folder, read_manifest


def convert(folder: Path) -> None:
    np.save(folder / "a.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    np.save(folder / "targets.npy", np.arange(4))


class Counting:
    """A conversion that counts how often it was asked for; `first` is what its first number is."""

    def __init__(self, first: float = 0.0) -> None:
        self.calls, self.first = 0, first

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        np.save(folder / "a.npy", np.array([self.first, 1.0]))


def files(root: Path) -> set[str]:
    return {path.name for path in (root / "prepared").iterdir() if path.suffix != ".lock"}


def test_arrays_come_back_as_written_and_read_only(tmp_path: Path) -> None:
    arrays = open_arrays(prepared(tmp_path, "toy", {}, None, convert))
    assert set(arrays) == {"a", "targets"}
    assert arrays["a"].tolist() == np.arange(12).reshape(4, 3).tolist()
    with pytest.raises(ValueError, match="read-only"):
        arrays["a"][0] = 1


def test_an_array_without_rows_comes_back(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "toy", {}, None, lambda part: np.save(part / "a.npy", np.zeros((0, 3))))
    assert open_arrays(folder)["a"].shape == (0, 3)


def test_what_is_converted_is_not_converted_again(tmp_path: Path) -> None:
    count = Counting()
    assert not is_prepared(tmp_path, "toy", {"view": "x"}, [1])
    first = prepared(tmp_path, "toy", {"view": "x"}, [1], count)
    assert (
        first == prepared(tmp_path, "toy", {"view": "x"}, [1], count) == prepared_folder(tmp_path, "toy", {"view": "x"})
    )
    assert count.calls == 1
    assert is_prepared(tmp_path, "toy", {"view": "x"}, [1])


def test_other_options_get_a_folder_of_their_own(tmp_path: Path) -> None:
    count = Counting()
    assert prepared(tmp_path, "toy", {"view": "x"}, None, count) != prepared(
        tmp_path, "toy", {"view": "y"}, None, count
    )
    assert count.calls == 2


def test_a_changed_origin_converts_anew_and_leaves_one_folder(tmp_path: Path) -> None:
    prepared(tmp_path, "toy", {}, ("shard", 10), Counting(first=1.0))
    folder = prepared(tmp_path, "toy", {}, ("shard", 11), Counting(first=2.0))
    assert open_arrays(folder)["a"][0] == 2.0
    assert files(tmp_path) == {folder.name}
    assert read_manifest(folder)["origin"] == ["shard", 11]


def test_an_origin_that_is_gone_keeps_what_was_converted(tmp_path: Path) -> None:
    count = Counting()
    prepared(tmp_path, "toy", {}, [["shard", 10]], count)
    prepared(tmp_path, "toy", {}, None, count)
    assert count.calls == 1


def test_a_conversion_that_raises_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        convert(folder)
        raise UserError("shard 3: wrong checksum")

    with pytest.raises(UserError, match="wrong checksum"):
        prepared(tmp_path, "toy", {}, None, fail)
    assert files(tmp_path) == set()
    assert prepared(tmp_path, "toy", {}, None, convert).exists()


def test_a_conversion_anew_that_raises_keeps_the_old_arrays(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise UserError("shard 3: wrong checksum")

    folder = prepared(tmp_path, "toy", {}, [1], convert)
    with pytest.raises(UserError):
        prepared(tmp_path, "toy", {}, [2], fail)
    assert files(tmp_path) == {folder.name}
    assert read_manifest(folder)["origin"] == [1]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from fusionbench.data.store import prepared
def convert(folder):
    np.save(folder / "a.npy", np.zeros(3))
    os.kill(os.getpid(), signal.SIGKILL)
prepared(Path(sys.argv[1]), "toy", {}, None, convert)
"""


def test_what_a_killed_conversion_left_is_swept_away_by_the_next(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False).returncode == -9
    assert len(files(tmp_path)) == 1
    assert not is_prepared(tmp_path, "toy", {}, None)
    folder = prepared(tmp_path, "toy", {}, None, convert)
    assert files(tmp_path) == {folder.name}


SLOW = """
import sys, time
from pathlib import Path
import numpy as np
from fusionbench.data.store import open_arrays, prepared
def convert(folder):
    with open(sys.argv[2], "a") as log:
        log.write("x")
    time.sleep(0.5)
    np.save(folder / "a.npy", np.zeros(3))
print(open_arrays(prepared(Path(sys.argv[1]), "toy", {}, [1], convert))["a"].shape)
"""


def test_two_processes_at_once_convert_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path / "root"), str(tmp_path / "log")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in running] == ["(3,)\n"] * 2
    assert (tmp_path / "log").read_text() == "x"


# --- fingerprints -------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_contents_and_not_of_the_folder_or_the_origin(tmp_path: Path) -> None:
    one = read_manifest(prepared(tmp_path / "one", "toy", {"a": 1}, [1], convert))["fingerprint"]
    other = read_manifest(prepared(tmp_path / "other", "toy", {"a": 2}, [2], convert))["fingerprint"]
    assert one == other


def test_the_fingerprint_is_what_it_was_when_it_was_written_down() -> None:
    arrays = {"a": np.arange(12, dtype="<f4").reshape(4, 3), "targets": np.arange(4, dtype="<i8")}
    # Worked out without numpy: SHA-256 of, for each name, the JSON [name, type, shape] and then the data.
    assert fingerprint_of(arrays) == "d1edaf964bdcef857c023d0ebf8527e735aee5310eb5f1ab58a6cae5669039f2"


@pytest.mark.parametrize(
    "changed",
    [
        {"a": np.arange(12.0).reshape(4, 3) + np.eye(4, 3)},
        {"a": np.arange(12.0).reshape(3, 4)},
        {"a": np.arange(12).reshape(4, 3)},
        {"b": np.arange(12.0).reshape(4, 3)},
        {"a": np.arange(12.0).reshape(4, 3), "b": np.zeros(0)},
    ],
    ids=["value", "shape", "type", "name", "one more"],
)
def test_any_change_moves_the_fingerprint(changed: dict[str, np.ndarray]) -> None:
    assert fingerprint_of(changed) != fingerprint_of({"a": np.arange(12.0).reshape(4, 3)})


def test_memory_order_and_the_order_of_names_do_not_move_the_fingerprint() -> None:
    a, b = np.arange(12.0).reshape(4, 3), np.arange(3)
    assert fingerprint_of({"b": b, "a": np.asfortranarray(a)}) == fingerprint_of({"a": a, "b": b})


# --- damage -------------------------------------------------------------------------------------------------------


DAMAGED = ["", "{", "[]", "null", '{"fingerprint": "x"}', '{"arrays": {}}', "\x00", "[" * 100_000]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_manifest_is_told_with_the_way_out(tmp_path: Path, text: str) -> None:
    folder = prepared(tmp_path, "toy", {}, [1], convert)
    (folder / "manifest.json").write_text(text)
    for use in (
        lambda: open_arrays(folder),
        lambda: read_manifest(folder),
        lambda: is_prepared(tmp_path, "toy", {}, [1]),
    ):
        with pytest.raises(UserError, match=rf"{re.escape(str(folder))}.*remove the folder"):
            use()


def cut(data: bytes) -> bytes:
    return data[:-5]


def empty(data: bytes) -> bytes:
    return b""


def no_magic(data: bytes) -> bytes:
    return b"x" + data[1:]


def broken_header(data: bytes) -> bytes:
    return data.replace(b"{'descr'", b"(('descr'")


def other_shape(data: bytes) -> bytes:
    return data.replace(b"(4, 3)", b"(3, 4)")


def pickled(data: bytes) -> bytes:
    return data.replace(b"'<f4'", b"'|O' ")


def endless(data: bytes) -> bytes:
    return data.replace(b"(4, 3)", b"(%d,)" % 10**20)


def several(data: bytes) -> bytes:
    made = io.BytesIO()
    np.savez(made, a=np.zeros(3))
    return made.getvalue()


def like_several(data: bytes) -> bytes:
    return b"PK\x03\x04" + data[4:]


def newer_archive(data: bytes) -> bytes:
    whole = several(data)
    at = whole.index(b"PK\x01\x02") + 6  # The version that is needed to read the first member.
    return whole[:at] + b"\xff\x00" + whole[at + 2 :]


DAMAGES = [cut, empty, no_magic, broken_header, other_shape, pickled, endless, several, like_several, newer_archive]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_told_with_the_way_out(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder = prepared(tmp_path, "toy", {}, None, convert)
    path = folder / "a.npy"
    data = damage(path.read_bytes())
    assert data != path.read_bytes()
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}.*remove the folder"):
        open_arrays(folder)


def test_a_missing_array_is_told_with_the_way_out(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "toy", {}, None, convert)
    (folder / "targets.npy").unlink()
    with pytest.raises(UserError, match=r"targets\.npy.*remove the folder"):
        open_arrays(folder)


# --- a disk that says no ------------------------------------------------------------------------------------------

FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from fusionbench.core.errors import UserError
from fusionbench.data.store import prepared
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    prepared(Path(sys.argv[1]), "toy", {}, None, lambda folder: np.save(folder / "a.npy", np.zeros(100_000)))
except UserError as error:
    print(error)
"""


def test_a_disk_that_fills_up_inside_an_array_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert re.search(r"while converting toy \(\d+ MiB free\); make room or name another data folder with --data", said)
    assert said.count("\n") == 1
    assert files(tmp_path) == set()


def test_no_space_left_is_told_with_the_free_space(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "a.npy"))

    with pytest.raises(UserError, match=r"a\.npy: No space left on device while converting toy \(\d+ MiB free\)"):
        prepared(tmp_path, "toy", {}, None, fail)


def test_no_space_for_the_manifest_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(UserError, match="No space left on device"):
        prepared(tmp_path, "toy", {}, None, convert)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("place", ["root", "prepared"])
def test_a_file_where_the_data_folder_should_be_is_told(tmp_path: Path, place: str) -> None:
    root = tmp_path / "root"
    if place == "root":
        root.write_text("")
    else:
        root.mkdir()
        (root / "prepared").write_text("")
    with pytest.raises(UserError, match=r"(Not a directory|File exists) while converting toy; .*--data"):
        prepared(root, "toy", {}, None, convert)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**given: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(given["dir"]))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)  # Root, who runs tests in a container, may write anywhere.
    with pytest.raises(UserError, match=r"prepared: Permission denied while converting toy; .*--data"):
        prepared(tmp_path, "toy", {}, None, convert)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told_and_one_with_arrays_is_read(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "toy", {}, None, convert)
    (tmp_path / "prepared").chmod(0o555)
    try:
        with pytest.raises(UserError, match="Permission denied"):
            prepared(tmp_path, "other", {}, None, convert)
        assert prepared(tmp_path, "toy", {}, None, convert) == folder
    finally:
        (tmp_path / "prepared").chmod(0o755)


def test_a_fault_of_the_conversion_itself_is_not_dressed_up(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    with pytest.raises(ConnectionResetError):
        prepared(tmp_path, "toy", {}, None, fail)


def test_the_manifest_names_every_array_with_type_and_shape(tmp_path: Path) -> None:
    manifest = json.loads((prepared(tmp_path, "toy", {}, [1], convert) / "manifest.json").read_text())
    assert manifest["name"] == "toy"
    assert manifest["arrays"] == {"a": ["float32", [4, 3]], "targets": ["int64", [4]]}
