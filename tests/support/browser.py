"""A real browser driven by tests: Debian's chromium, over the pipe of its DevTools protocol."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

DEADLINE_SECONDS = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-extensions", "--hide-scrollbars", "--window-size=1280,1000",
)  # fmt: skip
# The protocol speaks on descriptors 3 and 4 of the browser.
_ON_PIPES = (
    "import os, sys; read, write = map(int, sys.argv[1:3]); "
    "os.dup2(read, 3); os.dup2(write, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)


def program() -> str:
    """Return the browser of this machine; without one the test fails and says what to do."""
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    executable = executable or next((path for path in PLACES if Path(path).is_file()), None)
    if executable is None:
        pytest.fail(f"no browser ({', '.join(NAMES)}) on this machine: run tests/needs.sh")
    return executable


class Page:
    """One tab: what it shows, what it answers, and what it complained about."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []

    def attach(self) -> None:
        """Open a tab and listen to it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        answer = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = answer["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "CSS"):
            self.call(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url="about:blank")  # else a new fragment loads nothing
        self._wait_for("Page.loadEventFired")
        self.events.clear()
        self.call("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, as JSON has it."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def fonts(self, selector: str, most: int) -> dict[str, int]:
        """Return which fonts the glyphs of what a selector finds were really taken from."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        nodes = self.call("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]
        glyphs: dict[str, int] = {}
        for node in nodes[:most]:
            for font in self.call("CSS.getPlatformFontsForNode", nodeId=node)["fonts"]:
                family = font["familyName"]
                glyphs[family] = glyphs.get(family, 0) + int(font["glyphCount"])
        return glyphs

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra
            )

    def type(self, text: str) -> None:
        """Put text where the cursor is."""
        self.call("Input.insertText", text=text)

    def media(self, media: str = "", **features: str) -> None:
        """Pretend to be another medium: `print`, or a person who prefers dark."""
        named = [{"name": name.replace("_", "-"), "value": v} for name, v in features.items()]
        self.call("Emulation.setEmulatedMedia", media=media, features=named)

    def picture(self, element: str | None = None) -> bytes:
        """Return what is seen as a PNG: the page, or one element, named by an expression."""
        clip: dict[str, Any] = {}
        if element:
            self.evaluate(f"void {element}.scrollIntoView({{block: 'center'}})")
            box = self.evaluate(f"{element}.getBoundingClientRect().toJSON()")
            box["x"] += self.evaluate("scrollX")  # the protocol counts from the page's corner
            box["y"] += self.evaluate("scrollY")
            keys = ("x", "y", "width", "height")
            clip = {"clip": {**{key: box[key] for key in keys}, "scale": 2}}
        return base64.b64decode(self.call("Page.captureScreenshot", **clip)["data"])

    def complaints(self) -> list[str]:
        """Return what went wrong in the page: errors, exceptions, anything blocked."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [
            json.dumps(event["params"])
            for event in self.events
            if event["method"] in kinds
            or (
                event["method"] == "Runtime.consoleAPICalled"
                and event["params"]["type"] in ("error", "warning", "assert")
            )
        ]

    def requests(self) -> list[str]:
        """Return every address that was asked for since the page was opened."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the browser and return its answer; what it says meanwhile is kept."""
        self._number += 1
        question: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            question["sessionId"] = self._session
        os.write(self._to, json.dumps(question).encode() + b"\0")
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            answer = self._next(end, method)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def _wait_for(self, method: str) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not any(event["method"] == method for event in self.events):
            self._next(end, method)

    def _next(self, end: float, awaited: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            ready = select.select([self._from], [], [], left)[0] if left > 0 else []
            assert ready, f"the browser did not answer in {DEADLINE_SECONDS:.0f} s: {awaited}"
            data = os.read(self._from, 1 << 20)
            assert data, f"the browser went away: {awaited}"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = dict(json.loads(line))
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """Start a browser with an empty profile, and end it with all its processes."""
    command = [program(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    ends = [*os.pipe(), *os.pipe()]
    # High numbers, so that neither end is 3 or 4 already.
    child_reads, child_writes = (fcntl.fcntl(ends[i], fcntl.F_DUPFD, 64) for i in (0, 3))
    with (profile.parent / f"{profile.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_PIPES, str(child_reads), str(child_writes), *command],
            pass_fds=(child_reads, child_writes),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    for descriptor in (ends[0], ends[3], child_reads, child_writes):
        os.close(descriptor)
    try:
        tab = Page(ends[1], ends[2])
        tab.attach()
        yield tab
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=DEADLINE_SECONDS)
        os.close(ends[1])
        os.close(ends[2])
