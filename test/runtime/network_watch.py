# SPDX-License-Identifier: Apache-2.0
"""What a process looks up, connects to and leaves behind.

A small library is preloaded into the process: it writes down every name that is looked up and every connection that
leaves the machine, and lets none through.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from preloaded import preloaded_library

from seem_ros.privacy import SWITCHES

SENDS_AFTER_S = 12.0  # ONNX Runtime 1.32 looks up its collector ten seconds after it was loaded


class NetworkWatch:
    """A watched process's environment, and what was noticed.

    Args:
        folder: for the library, the log and the process's home.
    """

    def __init__(self, folder: Path) -> None:
        self.library = preloaded_library("watch_network", folder, "watching the network")
        self.log, self.home = folder / "log", folder / "home"
        self.home.mkdir()

    def environment(self) -> dict[str, str]:
        """The present one, watched, with a home of its own and without our switches."""
        kept = {k: v for k, v in os.environ.items() if k not in (*SWITCHES, "XDG_CACHE_HOME", "SEEM_ROS_CACHE")}
        return kept | {"LD_PRELOAD": str(self.library), "WATCH_LOG": str(self.log), "HOME": str(self.home)}

    def noticed(self) -> list[str]:
        """Names that were looked up and connections, this machine's own left out."""
        own = {"localhost", socket.gethostname()}
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.partition(" ")[2] not in own]

    def left(self) -> list[str]:
        """Files below the home folder that are none of ours."""
        files = (str(p.relative_to(self.home)) for p in self.home.rglob("*") if p.is_file())
        ours = (".cache/seem_ros/", ".ros/", ".cache/torch", ".config/matplotlib")
        return [name for name in files if not name.startswith(ours)]
