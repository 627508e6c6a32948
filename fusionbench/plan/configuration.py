"""A user's configuration file: which engine a suite's runs go to where the command line names none.

    engine: slurm
    slurm: {jobs: 8, partition: gpu, time: "4:00:00", gpus: 1, cpus: 8}
    ray: {address: auto}

It lies at $FUSIONBENCH_CONFIG, else at fusionbench.yaml in $XDG_CONFIG_HOME or ~/.config. It decides no result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.plan.engines import KINDS, EngineSettings, engine_names, known_settings, settings_of
from fusionbench.plan.source import Source, TreePath, parse_source

VARIABLE, NAME = "FUSIONBENCH_CONFIG", "fusionbench.yaml"


def chosen_engine(
    name: str | None, given: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> EngineSettings:
    """The engine with its settings: those given, then those of the configuration file, then the default.

    Args:
        name: of the engine; None: the one that the file names.
        given: settings that go before the file's; they have to be the engine's.
        environment: of the process: says where the file is.

    Raises:
        UserError: a mistake in the file or in what was given; a line that says where.
    """
    source = configuration(environment)
    engine = name or source.tree.get("engine", "local")
    for key in given:
        if key not in known_settings(engine):
            owners = [other for other in engine_names() if key in known_settings(other)]
            raise UserError(f"--{key}: no setting of engine '{engine}'; it is of {' and '.join(owners)} (--engine)")
    tree = source.tree.get(engine) or {}
    places: dict[TreePath, str] = {(engine, key): f"--{key}" for key in given}
    return settings_of(engine, {**tree, **given}, _Laid(source.name, source.tree, source.lines, places))


def configuration(environment: Mapping[str, str] = os.environ) -> Source:
    """The configuration file as a tree; an empty one where there is none.

    Raises:
        UserError: it cannot be read, or says something else than engines and their settings.
    """
    named = environment.get(VARIABLE)
    path = Path(named) if named else _folder(environment) / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise UserError(f"${VARIABLE}: {named}: no such file") from None
        return Source(str(path), {}, {})
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', 'not UTF-8 text')})") from error
    source = parse_source(text if text.strip() else "{}", str(path), "a configuration is a mapping such as engine: ray")
    for key, value in source.tree.items():
        if key == "engine":
            if value not in engine_names():
                raise unknown("engine", str(value), engine_names(), source.place(("engine",)))
        elif key not in KINDS:
            raise unknown("key", key, ["engine", *KINDS], source.place((key,)))
        elif not isinstance(value, dict | None):
            raise UserError(f"{source.place((key,))}: give a mapping such as {{cpus: 2}}, got {shown(value)}")
    return source


class _Laid(Source):
    """A file with settings of the command line laid over it."""

    def place(self, path: TreePath) -> str:
        """The option of the command line, or the line of the file."""
        return self.settings[path[:2]] if path[:2] in self.settings else super().place(path)


def _folder(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_CONFIG_HOME")
    return Path(home) if home else Path(environment.get("HOME") or "/") / ".config"
