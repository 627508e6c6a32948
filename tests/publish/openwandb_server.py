"""openwandb, a server of others that speaks W&B's protocol, where its command is on the path, from any environment.

It is not part of the extra dev: its licence forbids commercial use, and it brings a web server's packages.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

COMMAND = shutil.which("openwandb")
KEY = "local" + 40 * "0"
HASH = "$2b$04$ZGOX5CQGI2LOBBU4pYF0huIKJPIFFtMMsG2mcwGJU65ZHCHv9GXO."
"""Of the key, by bcrypt at its lowest cost. The server asks bcrypt in every request; at the cost that it chooses by
itself, that takes a quarter of a second of its only process, and nothing else would be measured."""


@dataclass
class OpenWandb:
    """A running server."""

    url: str
    folder: Path

    def runs(self, project: str) -> dict[str, dict[str, Any]]:
        """What the server says of its runs, by their names."""
        query = '{project(name: "%s", entityName: "default") {runs(first: 1000) {edges {node {%s}}}}}'
        fields = "name displayName state tags config summaryMetrics"
        answer = self._ask({"query": query % (project, fields)})
        nodes = [edge["node"] for edge in answer["data"]["project"]["runs"]["edges"]]
        return {node["name"]: node for node in nodes}

    def history(self, run: str, key: str) -> list[float]:
        """One metric of a run, step by step."""
        with closing(sqlite3.connect(self.folder / "openwandb.db")) as database:
            query = "select value from metrics where run_id = ? and key = ? order by step"
            return [value for (value,) in database.execute(query, (run, key))]

    def _ask(self, call: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "X-WANDB-API-KEY": KEY}
        with urlopen(Request(f"{self.url}/graphql", json.dumps(call).encode(), headers), timeout=60) as answer:
            return json.loads(answer.read())


@contextmanager
def openwandb(folder: Path) -> Iterator[OpenWandb]:
    """The server, with its files in a folder, on a port of this machine."""
    assert COMMAND is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "OPENWANDB_DATA_DIR": str(folder)}
    subprocess.run([COMMAND, "init"], env=environment, check=True, capture_output=True)
    with closing(sqlite3.connect(folder / "openwandb.db")) as database, database:
        database.execute("update api_keys set key_hash = ?", (HASH,))
    words = [COMMAND, "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/login", process)
        yield OpenWandb(f"http://127.0.0.1:{port}", folder)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"openwandb ended with {process.returncode}")
