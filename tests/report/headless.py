"""Chromium without a window, driven over a pipe by its own protocol: nothing else is needed.

What a page says on its console, what it asks of the network and what its policy refuses is kept.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COMMAND = next((found for name in NAMES if (found := shutil.which(name))), None)
ABSENT = "no Chromium here: apt-get install chromium"
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update"),
    "--remote-debugging-pipe",
)
PATIENCE = 60.0
"""Seconds for an answer, on a busy machine."""


class Browser:
    """One browser with one page."""

    def __init__(self, *, dark: bool = False, size: tuple[int, int] = (1300, 900)) -> None:
        assert COMMAND, ABSENT
        self.errors: list[str] = []
        """Errors and warnings on the console, exceptions, and what was refused."""
        self.requests: list[str] = []
        """Every address that was asked for."""
        self._profile = tempfile.TemporaryDirectory(prefix="headless-", ignore_cleanup_errors=True)
        self._events: list[Mapping[str, Any]] = []
        self._count = 0
        self._process, self._write, self._read = _started(COMMAND, self._profile.name)
        self._buffer = b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = ""
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **screen)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(Exception):
            self._send("Browser.close", {}, "")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for end in (self._write, self._read):
            os.close(end)
        self._profile.cleanup()

    def open(self, path: Path, fragment: str = "") -> float:
        """Open a file; the seconds until all of it is loaded."""
        self._go("about:blank")  # Else another fragment of the same file loads nothing.
        started = time.perf_counter()
        self._go(path.resolve().as_uri() + fragment)
        return time.perf_counter() - started

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript; of a promise, what it comes to."""
        found = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := self.ask(expression):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}")

    def click(self, selector: str) -> None:
        """Press what a selector finds first, with the mouse, where it is."""
        # What is drawn meanwhile may move it: it has to be what lies there.
        x, y = self.wait(
            f"""(element => {{
                element.scrollIntoView({{block: 'center', inline: 'center'}});
                const box = element.getBoundingClientRect(), place = [box.x + box.width / 2, box.y + box.height / 2];
                return element.contains(document.elementFromPoint(...place)) && place;
            }})(document.querySelector({json.dumps(selector)}))"""
        )
        self.ask(FRAMES)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys of the keyboard, such as Tab, Enter, a."""
        for key in keys:
            facts = {"key": key, **KEYS.get(key, {"text": key})}
            self._call("Input.dispatchKeyEvent", type="keyDown", **facts)
            self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def save_to(self, folder: Path) -> None:
        """Where files are saved from now on."""
        self._call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def picture(self, path: Path) -> None:
        """A screenshot of what is in view."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    # --- the protocol: JSON, ended by a zero ------------------------------------------------------------------------

    def _call(self, method: str, **parameters: Any) -> Any:
        number = self._send(method, parameters, getattr(self, "_session", ""))
        while True:
            message = self._next(method)
            if message.get("id") == number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]

    def _send(self, method: str, parameters: Mapping[str, Any], session: str) -> int:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(self._write, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        return self._count

    def _go(self, url: str) -> None:
        self._events.clear()
        self._call("Page.navigate", url=url)
        self._until("Page.loadEventFired")

    def _until(self, event: str) -> None:
        while not any(message["method"] == event for message in self._events):
            self._next(event)

    def _next(self, waited_for: str) -> Mapping[str, Any]:
        while b"\0" not in self._buffer:
            is_there, _, _ = select.select([self._read], [], [], PATIENCE)
            assert is_there, f"no answer to {waited_for}"
            more = os.read(self._read, 1 << 20)
            assert more, f"the browser has gone, waiting for {waited_for}"
            self._buffer += more
        first, _, self._buffer = self._buffer.partition(b"\0")
        message: Mapping[str, Any] = json.loads(first)
        if "method" in message:
            self._events.append(message)
            self._keep(message["method"], message["params"])
        return message

    def _keep(self, method: str, facts: Mapping[str, Any]) -> None:
        match method:
            case "Runtime.consoleAPICalled" if facts["type"] in ("error", "warning", "assert"):
                self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in facts["args"]))
            case "Runtime.exceptionThrown":
                self.errors.append(str(facts["exceptionDetails"]))
            case "Log.entryAdded" if facts["entry"]["level"] in ("error", "warning"):
                self.errors.append(facts["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(facts["request"]["url"][:200])


FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Until what was moved is shown where it is now: the mouse meets what is shown."""
KEYS: Mapping[str, Mapping[str, Any]] = {
    "Tab": {"code": "Tab", "windowsVirtualKeyCode": 9},
    "Enter": {"code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Escape": {"code": "Escape", "windowsVirtualKeyCode": 27},
    " ": {"code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
    "ArrowDown": {"code": "ArrowDown", "windowsVirtualKeyCode": 40},
}


@contextmanager
def opened(path: Path, *, dark: bool = False, size: tuple[int, int] = (1300, 900)) -> Iterator[Browser]:
    """A browser in which a file is open."""
    with Browser(dark=dark, size=size) as browser:
        browser.open(path)
        yield browser


def _started(command: str, profile: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """The browser, where to write to it, and where to read from; it knows its own ends as files 3 and 4."""
    ends = os.pipe(), os.pipe()
    # Moved out of the way of 3 and 4, which the shell gives them.
    theirs, back = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (ends[0][0], ends[1][1]))
    write, read = ends[0][1], ends[1][0]
    words = f'exec "$0" "$@" 3<&{theirs} 4>&{back}'
    process = subprocess.Popen(
        ["/bin/bash", "-c", words, command, *OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=(theirs, back),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (theirs, back, ends[0][0], ends[1][1]):
        os.close(end)
    return process, write, read
