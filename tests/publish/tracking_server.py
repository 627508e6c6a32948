"""A server that says just enough of W&B's protocol to take runs in, or to refuse them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
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
        self.without = ""
        """Part of a query that the server does not know; empty: none."""
        self.ended = Event()
        self.ids: list[str] = []
        """Of runs, as they came; each once for an entity and project."""
        self.projects: list[tuple[str, str]] = []
        """Entity and project of each."""
        self.streams: dict[str, dict[str, list[str]]] = {}
        """By run id and file, its last content from line 0 on."""
        self.uploads: dict[str, bytes] = {}
        """By path below /upload/, what was put there: tables, and files of artifacts."""
        self.artifacts: list[tuple[str, str]] = []
        """Type and name of each, as they came."""
        self.views: list[dict[str, Any]] = []
        """Workspaces and reports, as they came; the spec is JSON again."""
        self.charts: list[dict[str, Any]] = []

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
        self.server.uploads[self.path.removeprefix("/upload/")] = self._body()
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
            if self.server.without and self.server.without in call["query"]:
                self._answer(400, {"errors": [{"message": "no such operation"}]})
                return
            self._answer(200, {"data": self._reply(call["query"], call.get("variables") or {})})
        else:
            self._answer(404, {})

    def _keep(self, run: str, sent: dict[str, Any]) -> None:
        for name, file in sent.get("files", {}).items():
            kept = self.server.streams.setdefault(run, {}).setdefault(name, [])
            kept[file["offset"] :] = file["content"]

    def _reply(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """To an operation of that name; to any other, whose key it is."""
        for name, reply in REPLIES.items():
            if name in query:
                return reply(self.server, variables)
        entity = {"entity": "me", "defaultEntity": {"name": "me"}}
        return {"viewer": {"id": "v", "username": "me", "flags": "{}", "teams": {"edges": []}, **entity}}

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


def _run(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    place = (variables.get("entity") or "me", variables["project"])
    if (place, variables["name"]) not in zip(server.projects, server.ids, strict=True):
        server.ids.append(variables["name"])
        server.projects.append(place)
    project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": place[0]}}
    bucket = {"id": "b", "name": variables["name"], "displayName": "", "config": "{}", "project": project}
    return {"upsertBucket": {"bucket": bucket, "inserted": True}}


def _run_files(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    files = [{"name": name, "uploadUrl": f"{server.url}/upload/{name}"} for name in variables["files"]]
    return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}


def _artifact(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    sent = variables["input"]
    server.artifacts.append((sent["artifactTypeName"], sent["artifactCollectionName"]))
    made = {"id": str(len(server.artifacts)), "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
    return {"createArtifact": {"artifact": made}}


def _manifest(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    file = {"id": "f", "uploadUrl": f"{server.url}/upload/manifest", "uploadHeaders": []}
    return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}


def _artifact_files(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [
        {
            "storagePath": f"store/{file['name']}",
            "uploadUrl": f"{server.url}/upload/artifact/{file['name']}",
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": {"id": file["artifactID"]},
        }
        for file in variables["input"]["artifactFiles"]
    ]
    return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}


def _commit(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": "d"}}}


def _view(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    server.views.append({**variables, "spec": json.loads(variables["spec"])})
    project = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
    view = {"id": variables.get("id") or f"view{len(server.views)}", "name": variables["name"], "project": project}
    view |= {"type": variables["type"], "displayName": variables["displayName"], "description": "", "updatedAt": None}
    return {"upsertView": {"view": {**view, "spec": variables["spec"]}, "inserted": True}}


def _chart(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    server.charts.append({**variables, "spec": json.loads(variables["spec"])})
    return {"createCustomChart": {"chart": {"id": f"{variables['entity']}/{variables['chartName']}"}}}


def _project_number(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    return {"project": {"id": "p", "internalId": "77"}}


def _projects(server: Server, variables: dict[str, Any]) -> dict[str, Any]:
    page = {"endCursor": None, "hasNextPage": False}
    node: dict[str, Any] = {"id": "p", "name": "fusionbench", "entityName": "me", "createdAt": "2026-01-01"}
    node |= {"user": None, "isBenchmark": False}
    return {"models": {"edges": [{"cursor": "c", "node": node}], "pageInfo": page}}


Reply = Callable[[Server, dict[str, Any]], dict[str, Any]]
REPLIES: dict[str, Reply] = {
    "UpsertBucket": _run,
    "CreateRunFiles": _run_files,
    "ServerFeaturesQuery": lambda *_: {"serverInfo": {"features": []}},
    "mutation CreateArtifactManifest": _manifest,
    "mutation CreateArtifactFiles": _artifact_files,
    "mutation CreateArtifact ": _artifact,
    "CommitArtifact": _commit,
    "UpsertView2": _view,
    "mutation upsertView": _view,
    "CreateCustomChart": _chart,
    "ProjectInternalId": _project_number,
    "query GetProjects": _projects,
}
"""By part of the query."""
