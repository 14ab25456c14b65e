# SPDX-License-Identifier: Apache-2.0
"""The console as a user starts it, and plain requests to it."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import weakref
from pathlib import Path

from harness import ROOT, wait_for


class ConsoleProcess:
    """`ros2 run seem_ros console` on a free port.

    Args:
        log: Where it prints.
        arguments: Of its command line.
    """

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log_path, self._log = log, log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "console"), "--port", "0", "--no-open", *arguments],
            stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT,
        )  # fmt: skip
        weakref.finalize(self, self.process.kill)  # also where it never says an address
        self.url = wait_for(self._printed, f"the console's address in {log}", 40)
        self.port = int(self.url.split(":")[2].split("/")[0])

    def _printed(self) -> str:
        assert self.process.poll() is None, self.log
        lines = [line for line in self.log.splitlines() if line.startswith("console: http")]
        return lines[0].removeprefix("console: ") if lines else ""

    @property
    def log(self) -> str:
        """Everything it printed."""
        return self.log_path.read_text()

    def request(self, path: str, body=None, headers=None, method=None) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an answer; a dict is sent as JSON."""
        headers = dict(headers or {})
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {"content-type": "application/json", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=40) as response:
                return response.status, response.read(), dict(response.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def call(self, service: str, request: dict, node: str = "/seem") -> dict:
        """The answer of a service, by way of the console."""
        return json.loads(self.request("/api/call", {"node": node, "service": service, "request": request})[1])

    def stop(self) -> int:
        """End it; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._log.close()
        return self.process.returncode


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
