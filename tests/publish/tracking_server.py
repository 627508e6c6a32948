"""A server that says just enough of W&B's protocol to take runs in, or to refuse them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


class Server(ThreadingHTTPServer):
    """Keeps what it was sent."""

    daemon_threads = True

    def __init__(self, refuses: str, hangs: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuses, self.hangs = refuses, hangs
        """Part of the path of the calls that are forbidden, or never answered; empty: none."""
        self.ended = Event()
        self.ids: list[str] = []
        """Of runs, as they came; each once for an entity and project."""
        self.projects: list[tuple[str, str]] = []
        """Entity and project of each."""
        self.streams: dict[str, dict[str, list[str]]] = {}
        """By run id and file, its last content from line 0 on."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(refuses: str = "", hangs: str = "") -> Iterator[Server]:
    """A server in a thread of its own."""
    server = Server(refuses, hangs)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002
        """Silent."""

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_PUT(self) -> None:
        self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self._body()
        if self.server.hangs and self.server.hangs in self.path:
            self.server.ended.wait()
            return
        if self.server.refuses and self.server.refuses in self.path:
            self._answer(403, {"errors": [{"message": "permission denied"}]})
        elif self.path.endswith("/file_stream"):
            self._keep(self.path.split("/")[-2], json.loads(body))
            self._answer(200, {})
        elif self.path == "/graphql":
            call = json.loads(body)
            self._answer(200, {"data": self._reply(call["query"], call.get("variables") or {})})
        else:
            self._answer(404, {})

    def _keep(self, run: str, sent: dict[str, Any]) -> None:
        for name, file in sent.get("files", {}).items():
            kept = self.server.streams.setdefault(run, {}).setdefault(name, [])
            kept[file["offset"] :] = file["content"]

    def _reply(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "UpsertBucket" in query:
            place = (variables.get("entity") or "me", variables["project"])
            if (place, variables["name"]) not in zip(self.server.projects, self.server.ids, strict=True):
                self.server.ids.append(variables["name"])
                self.server.projects.append(place)
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": place[0]}}
            bucket = {"id": "b", "name": variables["name"], "displayName": "", "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.server.url}/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
