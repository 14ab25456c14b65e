# SPDX-License-Identifier: Apache-2.0
"""Clicks that come as messages: from Foxglove's and rqt_image_view's image panels, and from RViz' point tool.

A click on nothing starts a target; a click on a target is another round on it. What became of it is logged, and seen on
`~/targets`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Point, PointStamped

from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.ros.camera.pipeline import CameraPipeline
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.ros.session import Running

CLICK_TOPICS: dict[str, tuple[type, str]] = {
    "click": (PointStamped, "z = 0: a pixel; z > 0: a point in metres. Frame: the picture's, or none."),
    "click_pixel": (Point, "A pixel of the newest frame, as rqt_image_view sends it."),
    "click_negative": (PointStamped, "As ~/click, on what does not belong to the newest target."),
}


class Clicks:
    """Subscribes to the click topics of one camera.

    Args:
        node: The rclpy node.
        prefix: Of the topics: ``~/``, or ``~/<name>/`` where there are several cameras.
        pipeline: The camera.
        running: Gives the configured state, or None while the node is not active.
        group: Callback group of the services: a click may wait for the model.
    """

    def __init__(
        self, node: Any, prefix: str, pipeline: CameraPipeline, running: Callable[[], Running | None], group: Any
    ) -> None:
        self._node, self._pipeline, self._running = node, pipeline, running
        handlers = {
            "click": lambda msg: self._clicked(msg, negative=False),
            "click_pixel": lambda msg: self._clicked(PointStamped(point=Point(x=msg.x, y=msg.y)), negative=False),
            "click_negative": lambda msg: self._clicked(msg, negative=True),
        }
        self._subscriptions = [
            node.create_subscription(kind, f"{prefix}{name}", handlers[name], 5, callback_group=group)
            for name, (kind, _) in CLICK_TOPICS.items()
        ]

    def close(self) -> None:
        """Drop the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _clicked(self, msg: PointStamped, negative: bool) -> None:
        logger = self._node.get_logger()
        try:
            running = self._running()
            if running is None:
                raise SeemError("the node is not active")
            logger.info(running.call(lambda: self._act(msg, negative), may_take_effect=True))
        except SeemError as error:
            logger.warning(f"click on camera {self._pipeline.name}: {error}")
        except Exception as error:  # nothing escapes a callback
            logger.error(f"click on camera {self._pipeline.name}: internal error: {type(error).__name__}: {error}")

    def _act(self, msg: PointStamped, negative: bool) -> str:
        """Start or refine; on the inference thread."""
        pipeline, (x, y) = self._pipeline, self._pixel(msg)
        prompt = Prompt(clicks=(Click(x, y, negative=negative),))
        stamp_ns = stamp_to_ns(msg.header.stamp)
        try:
            pipeline.ring.at(stamp_ns, pipeline.settings.stamp_tolerance_s)
        except SeemError:
            stamp_ns = 0  # tools stamp with their own clock; the newest frame is meant
        target_id = self._newest_target() if negative else self._target_at(x, y)
        if target_id:
            found = pipeline.refine(target_id, prompt, "", stamp_ns)
            return found.message or f"refined target {target_id}"
        found = pipeline.start((prompt,), ("",), False, stamp_ns)
        return found.message or f"started target {found.target_ids[0]}"

    def _pixel(self, msg: PointStamped) -> tuple[float, float]:
        """The pixel that is meant; on the inference thread.

        Raises:
            SeemError: The point is in another frame, behind the camera, or there is no calibration.
        """
        point, pipeline = msg.point, self._pipeline
        newest = pipeline.ring.newest()
        if newest is None:
            raise pipeline.no_frame_yet()
        optical = newest.header.frame_id
        x_m, y_m, z_m = point.x, point.y, point.z
        if msg.header.frame_id and msg.header.frame_id != optical:
            x_m, y_m, z_m = self._to_optical(msg, optical)
        elif z_m == 0:
            return point.x, point.y
        frame = newest.frame()
        return pipeline.depth.lens(frame.height, frame.width, pipeline.settings).pixel_of(x_m, y_m, z_m)

    def _to_optical(self, msg: PointStamped, optical: str) -> tuple[float, float, float]:
        """A point of another frame in the camera's optical frame, metres.

        Raises:
            PromptError: It cannot be transformed.
        """
        raise PromptError(
            f"the point is in frame {msg.header.frame_id!r}, the image in {optical!r}; set the fixed frame of the tool "
            "to the camera's optical frame, or leave frame_id empty and give a pixel"
        )

    def _newest_target(self) -> int:
        if not self._pipeline.targets:
            raise PromptError("a negative click needs a target, and there is none")
        return max(target.target_id for target in self._pipeline.targets)

    def _target_at(self, x: float, y: float) -> int:
        last = self._pipeline.tracker.last
        if last is None or not (0 <= x < last.labels.shape[1] and 0 <= y < last.labels.shape[0]):
            return 0
        value = int(last.labels[int(y), int(x)])
        return next((target.target_id for target in self._pipeline.targets if target.value == value), 0) if value else 0
