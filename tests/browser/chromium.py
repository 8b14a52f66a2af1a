"""A headless Chromium, spoken to over two pipes in the DevTools protocol, so that nothing else has to be installed."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60  # seconds that an answer may take
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions")
# The browser reads commands from descriptor 3 and answers on 4, which Popen cannot choose for its child.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def found() -> str | None:
    """The path of a Chromium; None where none is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page.

    Args:
        executable: its path.
        profile: an empty folder for what it keeps.
    """

    def __init__(self, executable: str, profile: Path):
        child_reads, self._commands = os.pipe()
        self._answers, child_writes = os.pipe()
        python = [sys.executable, "-S", "-c", LAUNCH, str(child_reads), str(child_writes)]
        options = [*OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(
            [*python, executable, *options],
            pass_fds=(child_reads, child_writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(child_reads)
        os.close(child_writes)
        self._numbers, self._session, self._unread = itertools.count(1), None, b""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, path: Path) -> None:
        """Loads a page, and waits until all of it is there."""
        self._ask("Page.navigate", url=path.absolute().as_uri())
        self.evaluate(
            "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))"
        )

    def show(self, width: int, *, dark: bool) -> None:
        """Sets the width of the window in pixels and the theme that the reader wants; the window is a page high."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        for height in (800, None):
            height = height or self.evaluate("document.documentElement.scrollHeight")
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            self._ask("Emulation.setDeviceMetricsOverride", **size)

    def evaluate(self, code: str) -> Any:
        """The value of JavaScript in the page; of a promise what comes of it."""
        answer = self._ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Writes what is shown as PNG."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Ends it."""
        os.close(self._commands)
        os.close(self._answers)
        self._process.kill()
        self._process.wait()

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._answer(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _answer(self, number: int) -> dict[str, Any]:
        """The answer to a command; events are passed over."""
        until = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self._unread:
                if not select.select([self._answers], [], [], max(0, until - time.monotonic()))[0]:
                    raise TimeoutError("the browser does not answer")
                part = os.read(self._answers, 1 << 20)
                if not part:
                    raise RuntimeError("the browser has ended")
                self._unread += part
            packed, _, self._unread = self._unread.partition(b"\0")
            message = json.loads(packed)
            if message.get("id") == number:
                return message
