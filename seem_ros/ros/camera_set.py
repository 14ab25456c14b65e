# SPDX-License-Identifier: Apache-2.0
"""All cameras of the node: their publishers while it is configured, their subscriptions while it is active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.tracking.target import IdAllocator
from seem_ros.ros.camera.pipeline import CameraPipeline
from seem_ros.ros.camera.publisher import CameraOutput
from seem_ros.ros.camera.silence import SilenceWatch
from seem_ros.ros.camera.subscriber import CameraInput
from seem_ros.ros.click_subscriber import Clicks
from seem_ros.ros.messages.semantic_mask import ClassTable
from seem_ros.ros.monitoring.diagnostics import camera_status
from seem_ros.ros.monitoring.statistics import Statistics
from seem_ros.ros.parameters import Settings
from seem_ros.ros.session import Running
from seem_ros.ros.transforms.listener import TransformListener


class CameraSet:
    """Opens and closes what belongs to the cameras.

    Args:
        node: The rclpy node.
        transforms: The robot's frames.
        active: Gives the configured state, or None while the node is not active.
        service_group: Callback group of the services: a click may wait for the model.
    """

    def __init__(
        self, node: Any, transforms: TransformListener, active: Callable[[], Running | None], service_group: Any
    ) -> None:
        self._node, self._transforms, self._active, self._group = node, transforms, active, service_group
        self._outputs: dict[str, CameraOutput] = {}
        self._classes: dict[str, ClassTable] = {}  # a costmap that has read numbers goes on with them
        self._inputs: dict[str, CameraInput] = {}
        self._silence: dict[str, SilenceWatch] = {}
        self._clicks: list[Clicks] = []

    def make(self, name: str, segmenter: Segmenter, ids: IdAllocator, settings: Settings) -> CameraPipeline:
        """A camera with its publishers."""
        statistics = Statistics()
        classes = self._classes.setdefault(name, ClassTable())
        output = CameraOutput(self._node, _private(name, settings), name, statistics, classes)
        self._outputs[name] = output
        return CameraPipeline(
            name=name,
            segmenter=segmenter,
            ids=ids,
            output=output,
            settings=settings,
            statistics=statistics,
            logger=self._node.get_logger(),
            get_input=lambda: self._inputs.get(name),
            buffer=self._transforms.buffer,
        )

    def listen(self, running: Running, settings: Settings) -> None:
        """Open the subscriptions of all cameras."""
        for name, pipeline in running.cameras.items():
            self._listen(pipeline, running.thread.wake, settings)
            self._clicks.append(
                Clicks(self._node, _private(name, settings), pipeline, self._active, self._group, self._transforms)
            )

    def _listen(self, pipeline: CameraPipeline, wake: Callable[[], None], settings: Settings) -> None:
        def on_image(msg: Any) -> None:
            pipeline.on_image(msg)
            if not pipeline.is_idle:  # then the thread looks by itself, often enough for somebody who starts to listen
                wake()

        def on_depth(msg: Any) -> None:
            pipeline.on_depth(msg)
            if not pipeline.is_idle:
                wake()

        prefix = f"{pipeline.name}/" if len(settings.cameras) > 1 else ""
        self._inputs[pipeline.name] = CameraInput(
            self._node, pipeline.name, prefix, settings, on_image, on_depth, pipeline.on_info
        )
        self._silence[pipeline.name] = SilenceWatch(
            self._node, pipeline.name, pipeline.age_s, lambda: pipeline.is_still, pipeline.describe_input
        )

    def stop_listening(self) -> None:
        """Close the subscriptions."""
        for opened in self._inputs.values():
            opened.close()
        for clicks in self._clicks:
            clicks.close()
        self._inputs, self._clicks, self._silence = {}, [], {}

    def close(self) -> None:
        """Close the publishers."""
        outputs, self._outputs = self._outputs, {}
        for output in outputs.values():
            output.close()

    def watch(self, camera_timeout_s: float) -> None:
        """Look whether somebody publishes and listens, and say where a camera is silent."""
        for opened in list(self._inputs.values()):
            opened.watch()
        for output in list(self._outputs.values()):
            output.watch()
        for silence in list(self._silence.values()):
            silence.watch(camera_timeout_s)

    def statuses(self, node_name: str, running: Running) -> list[DiagnosticStatus]:
        """What /diagnostics says of each camera."""
        return [
            camera_status(node_name, running.cameras[name], opened.describe(), opened.problem, opened.topic)
            for name, opened in list(self._inputs.items())
        ]


def _private(name: str, settings: Settings) -> str:
    """What a camera's topics below the node's name begin with."""
    return f"~/{name}/" if len(settings.cameras) > 1 else "~/"
