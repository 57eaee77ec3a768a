"""A real browser for tests: Chromium, driven over the WebDriver protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c"}


def available() -> bool:
    return all(shutil.which(name) for name in ("chromium", "chromedriver"))


class Browser:
    """One page at a time; ends with its ``with`` block."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1400, 900)) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_ready()
        arguments = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]
        wanted = {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/session/{session['sessionId']}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call("DELETE", "")
        self._process.terminate()
        self._process.wait(timeout=20)

    def open(self, path: Path) -> None:
        self._call("POST", "/url", {"url": path.absolute().as_uri()})

    def script(self, code: str, *arguments: Any) -> Any:
        """What JavaScript returns."""
        return self._call("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def text(self, selector: str) -> str:
        return str(self.script("return document.querySelector(arguments[0]).innerText", selector))

    def type(self, selector: str, text: str) -> None:
        """Clicks an element and types; names of KEYS are single keys."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[ELEMENT]}/value", {"text": KEYS.get(text, text)})

    def click(self, selector: str) -> None:
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[ELEMENT]}/click", {})

    def click_at(self, x: int, y: int) -> None:
        """Moves the mouse to a place of the window and clicks."""
        moves = [
            {"type": "pointerMove", "duration": 0, "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": moves}
        self._call("POST", "/actions", {"actions": [mouse]})

    def hover_at(self, x: int, y: int) -> None:
        """Moves the mouse to a place of the window."""
        move = {"type": "pointerMove", "duration": 0, "x": x, "y": y}
        mouse = {"type": "pointer", "id": "mouse", "actions": [move]}
        self._call("POST", "/actions", {"actions": [mouse]})

    def emulate(self, width: int, scheme: str) -> None:
        """A window of that width, and whether its user wants ``light`` or ``dark`` pages."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._developer("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._developer("Emulation.setEmulatedMedia", {"features": features})
        self.script(
            "return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"
        )

    def wait_for(self, code: str) -> None:
        """Until JavaScript returns something true."""
        for _ in range(400):
            if self.script(code):
                return
            time.sleep(0.05)
        raise TimeoutError(f"never true: {code}")

    def _developer(self, command: str, parameters: dict[str, Any]) -> Any:
        body = {"cmd": command, "params": parameters}
        return self._call("POST", "/goog/cdp/execute", body)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """Errors of the browser's console: of scripts, and of what the page's policy refused."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _wait_until_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(urllib.error.URLError):
                if self._call("GET", "/status")["ready"]:
                    return
            time.sleep(0.05)
        self._process.kill()
        raise TimeoutError("chromedriver does not answer")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from error
