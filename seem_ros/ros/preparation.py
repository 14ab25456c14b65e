# SPDX-License-Identifier: Apache-2.0
"""Has an official model's package made while the node goes on answering, and tells how far that is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from seem_ros.errors import SeemError
from seem_ros.files import expanded
from seem_ros.ros.executor import LAST_WAIT_S
from seem_ros.ros.parameters import Settings
from seem_ros.runtime.official.names import is_official
from seem_ros.runtime.official.preparation import Preparation


class ModelPreparation:
    """What the node says in its log, on /diagnostics and to callers until an official model's package is there.

    Args:
        node: The rclpy node.
        diagnostics: Publisher of /diagnostics.
    """

    def __init__(self, node: Any, diagnostics: Any) -> None:
        self._node, self._diagnostics = node, diagnostics
        self._work: Preparation | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.news = ""  # what callers are told while it runs, and after it failed; empty once the package is there

    def run(self, settings: Settings) -> None:
        """Returns when the package is there; at once for every other model.

        Raises:
            SeemError: It cannot be made; says why and what to do.
        """
        self.news, self._stopped = "", False
        if not is_official(settings.model):
            return
        cache_dir: Path | None = expanded(settings.cache_dir, "cache_dir") if settings.cache_dir else None
        work = self._work = Preparation(settings.model, lambda line: self._tell(settings.model, line), cache_dir)
        try:
            work.run()
            self.news = ""
        except SeemError as error:
            self.news = str(error)
            self._publish(settings.model, DiagnosticStatus.ERROR)
            raise
        finally:
            self._work = None

    def start(self, settings: Settings) -> threading.Thread | None:
        """`run` on a thread of its own, None where nothing is to be done; why it failed is logged, and in `news`."""
        if not is_official(settings.model):
            return None

        def work() -> None:
            try:
                self.run(settings)
            except SeemError as error:
                if not self._stopped:
                    self._node.get_logger().error(f"cannot configure: {error}")

        self._thread = threading.Thread(target=work, daemon=True, name="preparation")
        self._thread.start()
        return self._thread

    def stop(self) -> None:
        """Ends what runs, and waits a moment for its thread, which uses the node."""
        self._stopped = True
        work, thread = self._work, self._thread
        if work is not None:
            work.stop()
        if thread is not None:
            thread.join(LAST_WAIT_S)

    def _tell(self, model: str, line: str) -> None:
        if self._stopped or not self._node.context.ok():
            return
        self.news = line
        self._node.get_logger().info(f"model {model}: {line}")
        self._publish(model, DiagnosticStatus.WARN)

    def _publish(self, model: str, level: bytes) -> None:
        if self._stopped or not self._node.context.ok():
            return
        name = self._node.get_fully_qualified_name().lstrip("/")
        status = DiagnosticStatus(name=f"{name}: preparation", level=level, message=self.news)
        status.values = [KeyValue(key="model", value=model)]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
