# SPDX-License-Identifier: Apache-2.0
"""Parameters while the node runs: changes are checked and taken up, and `ros2 param get` shows what rules."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from seem_ros.errors import SeemError
from seem_ros.ros.parameters.declaration import declare
from seem_ros.ros.parameters.settings import Settings, changed_but_fixed, changed_but_locked, table
from seem_ros.ros.session import Running


class LiveParameters:
    """Declares a node's parameters and follows their changes.

    Args:
        node: The rclpy node.
        running: Gives the configured state, or None.
        prepare: Called with new settings before they are taken up, while the node is configured; may refuse them.

    Attributes:
        settings: In force.

    Raises:
        SeemError: What was given on the command line or in a file cannot be used.
    """

    def __init__(self, node: Any, running: Callable[[], Running | None], prepare: Callable[[Settings], None]) -> None:
        self._node, self._running, self._prepare = node, running, prepare
        self.settings = declare(node)
        self._vocabulary_in_use = (self.settings.things, self.settings.stuff)
        self._is_showing = False
        # set by the parameters' services and by ~/set_vocabulary on several threads; each change sets off the next one
        self._changing = threading.RLock()
        node.add_on_set_parameters_callback(self._on_change)
        if hasattr(node, "add_post_set_parameters_callback"):  # not on Humble: there -1 stays until it is configured
            node.add_post_set_parameters_callback(lambda _: self.show_in_force())

    def show_in_force(self) -> None:
        """Has `ros2 param get` show what rules where the settings say "the model's own"."""
        with self._changing:
            running = self._running()
            if running is None or self._is_showing:
                return
            values = self.settings.in_force(running.segmenter.spec.postprocess)
            changed = [
                Parameter(name, value=value)
                for name, value in values.items()
                if self._node.get_parameter(name).value != value
            ]
            if changed:
                self._is_showing = True
                try:
                    self._node.set_parameters_atomically(changed)
                finally:
                    self._is_showing = False

    def note_vocabulary(self, things: str, stuff: str) -> None:
        """A call changed the vocabulary: let the parameters say so too."""
        with self._changing:
            self._vocabulary_in_use = (things, stuff)
            self._node.set_parameters_atomically([Parameter("things", value=things), Parameter("stuff", value=stuff)])

    def _on_change(self, parameters: list[Parameter]) -> SetParametersResult:
        ours = {row.name for row in table()}
        try:
            with self._changing:
                if not self._is_showing:  # else what is shown changes; what was asked for does not
                    asked = {one.name: one.value for one in parameters if one.name in ours}
                    self._take_up(self.settings.changed(asked))
        except SeemError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:  # nothing escapes a callback
            self._node.get_logger().error(f"internal error while setting parameters:\n{traceback.format_exc()}")
            return SetParametersResult(successful=False, reason=f"internal error: {error}")
        return SetParametersResult(successful=True)

    def _take_up(self, settings: Settings) -> None:
        """Has new settings rule.

        Raises:
            SeemError: They may not be changed now, or the model refuses them; nothing was changed.
        """
        locked = list(changed_but_locked(self.settings, settings))
        if locked:
            raise SeemError(f"{', '.join(locked)}: locked when the node was started (parameter lock)")
        fixed, running = list(changed_but_fixed(self.settings, settings)), self._running()
        if fixed and running is not None:
            raise SeemError(f"{', '.join(fixed)}: read when the node is configured; clean it up first")
        wanted = (settings.things, settings.stuff)
        if running is not None:
            if wanted != self._vocabulary_in_use:
                things, stuff = settings.vocabulary
                running.call(lambda: running.set_vocabulary(things, stuff), may_take_effect=True)
            self._prepare(settings)
            running.apply(settings)
        self._vocabulary_in_use = wanted
        self.settings = settings
