# SPDX-License-Identifier: Apache-2.0
"""A node and a camera for the console, in processes of their own, for who has neither: `make console`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from seem_ros.console.footage import check_footage
from seem_ros.errors import BackendError
from seem_ros.ros.discovery import let_large_images_through, stay_on_this_machine

ROOT = Path(__file__).resolve().parents[2]
END_S = 10.0


class DemoStage:
    """Starts them; `close` ends them.

    Args:
        video: Footage of your own; None = the recorded tabletop clip.
        model: Model package.

    Raises:
        BackendError: A program is missing.
        DataError: The footage cannot be read.
    """

    def __init__(self, video: str | None, model: str) -> None:
        if video is not None:
            check_footage(video)
        stay_on_this_machine(101 + os.getpid() % 100, insist=False)
        let_large_images_through()
        remaps = [word for name in ("image", "depth", "camera_info") for word in ("-r", f"{name}:=/camera/{name}")]
        node = ["--ros-args", "-p", f"model:={model}", *remaps]
        if video is None:
            camera = [_script("tabletop_camera"), "--ros-args", *remaps]
        else:
            camera = ["-m", "seem_ros.console.footage", video]
        self._processes = [
            subprocess.Popen([sys.executable, *words], start_new_session=True)
            for words in ([_script("seem"), *node], camera)
        ]

    def close(self) -> None:
        """End what was started."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _script(name: str) -> str:
    for place in (
        ROOT / "scripts" / name,
        *(
            Path(prefix) / "lib" / "seem_ros" / name
            for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        ),
    ):
        if place.is_file():
            return str(place)
    raise BackendError(f"the program {name} of seem_ros is not installed")
