"""Inside a sweep, or a run of somebody else's: what is sent is what would be sent outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from published_suite import Published
from wandb_files import read_all

OTHERS = {
    "WANDB_SWEEP_ID": "s1",
    "WANDB_SWEEP_PARAM_PATH": "/no/such/file.yaml",
    "WANDB_RUN_ID": "run1",
    "WANDB_PROJECT": "theirs",
    "WANDB_RUN_GROUP": "group1",
    "WANDB_NAME": "name1",
    "WANDB_NOTES": "notes1",
    "WANDB_JOB_TYPE": "job1",
    "WANDB_RESUME": "must",
    "WANDB_RUN_PATH": "a/b/c",
    "WANDB_HOST": "elsewhere",
    "WANDB_MODE": "disabled",
    "WANDB_DISABLED": "true",
    "WANDB_SERVICE": "4-1-tcp-localhost-9",
    "WANDB_LAUNCH": "true",
    "WANDB_SILENT": "false",
    "WANDB_CONFIG_PATHS": "/no/such/config.yaml",
    "_WANDB_STARTUP_DEBUG": "true",
}


@pytest.mark.parametrize(
    "names", [*((name,) for name in OTHERS), tuple(OTHERS)], ids=lambda names: "+".join(names)[:40]
)
def test_what_a_sweep_or_another_run_says_changes_nothing(
    made: Published, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    for name in names:
        monkeypatch.setenv(name, OTHERS[name])
    assert made.call("push", "--wandb", "offline") == 0
    sent = read_all(made.wandb)
    assert sorted(sent) == sorted(f"tiny-{run.key}" for run in made.runs)
    for (found,) in sent.values():
        assert (found.project, found.group, found.host) == ("fusionbench", "tiny/digits/same_encoders", "ab12")
        assert found.job_type in ("concat", "late")
        assert found.name.startswith(f"{found.job_type} seed ")
    assert {name: os.environ[name] for name in names} == {name: OTHERS[name] for name in names}


def test_wandbs_own_folder_and_tags_are_heeded(
    made: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "theirs"))
    monkeypatch.setenv("WANDB_TAGS", "night, done")
    assert made.call("push", "--wandb", "offline") == 0
    assert str(tmp_path / "theirs" / "wandb") in capfd.readouterr().out
    sent = read_all(tmp_path / "theirs" / "wandb")
    assert len(sent) == len(made.runs)
    (run,) = sent[f"tiny-{made.runs[0].key}"]
    assert run.tags == ["digits", "concat", "same_encoders", "final", "done", "night"]
    assert read_all(made.wandb) == {}


def test_a_long_temporary_folder_is_no_obstacle(
    made: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert made.call("push", "--wandb", "offline") == 0
    assert len(read_all(made.wandb)) == len(made.runs)
