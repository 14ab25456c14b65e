# SPDX-License-Identifier: Apache-2.0
"""Clicks that come as messages: from Foxglove's and rqt_image_view's image panels, and from RViz' point tool.

A click on nothing starts a target; a click on a target is another round on it. What became of it is logged, and seen on
`~/targets`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from std_msgs.msg import Header

from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.structures.prompts import Click, Prompt
from seem_ros.ros.camera.pipeline import CameraPipeline
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.ros.session import Running
from seem_ros.ros.transforms.listener import TransformListener

TRANSFORM_WAIT_S = 1.0  # tf is listened to from the first such click on: frames that move are told many times a second

CLICK_TOPICS: dict[str, tuple[type, str]] = {
    "click": (
        PointStamped,
        "In the picture's frame, or none: z = 0 a pixel, else a point in metres. In another: a point, by tf.",
    ),
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
        transforms: The robot's frames, for points in another one than the picture's.
    """

    def __init__(
        self,
        node: Any,
        prefix: str,
        pipeline: CameraPipeline,
        running: Callable[[], Running | None],
        group: Any,
        transforms: TransformListener,
    ) -> None:
        self._node, self._pipeline, self._running, self._transforms = node, pipeline, running, transforms
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
            placed, in_space = self._in_optical_frame(msg)
            logger.info(running.call(lambda: self._act(placed, in_space, negative), may_take_effect=True))
        except SeemError as error:
            logger.warning(f"click on camera {self._pipeline.name}: {error}")
        except Exception as error:  # nothing escapes a callback
            logger.error(f"click on camera {self._pipeline.name}: internal error: {type(error).__name__}: {error}")

    def _in_optical_frame(self, msg: PointStamped) -> tuple[PointStamped, bool]:
        """A click, its point in the picture's frame, and whether it surely is one in space.

        Raises:
            SeemError: Its frame cannot be transformed to the picture's.
        """
        newest = self._pipeline.newest_header()
        if newest is None or msg.header.frame_id in ("", newest[0]):
            return msg, False
        frame, (optical, stamp_ns) = msg.header.frame_id, newest
        try:
            transform = self._transforms.lookup_soon(optical, frame, stamp_ns, TRANSFORM_WAIT_S)
        except SeemError as error:
            raise PromptError(
                f"the point is in frame {frame!r}, the image in {optical!r}, and {error}; set the fixed frame of the "
                "tool to the camera's optical frame, or leave frame_id empty and give a pixel"
            ) from error
        x, y, z = (float(value) for value in transform.apply(np.array([msg.point.x, msg.point.y, msg.point.z])))
        return PointStamped(header=Header(stamp=msg.header.stamp, frame_id=optical), point=Point(x=x, y=y, z=z)), True

    def _act(self, msg: PointStamped, in_space: bool, negative: bool) -> str:
        """Start or refine; on the inference thread."""
        pipeline, point = self._pipeline, msg.point
        if pipeline.newest_header() is None:
            raise pipeline.no_frame_yet()
        flat = point.z == 0 and not in_space
        x, y = (point.x, point.y) if flat else pipeline.pixel_of(point.x, point.y, point.z)
        prompt = Prompt(clicks=(Click(x, y, negative=negative),))
        stamp_ns = pipeline.kept_stamp(stamp_to_ns(msg.header.stamp))
        target_id = pipeline.newest_target() if negative else pipeline.target_at(x, y)
        if negative and not target_id:
            raise PromptError("a negative click needs a target, and there is none")
        if target_id:
            found = pipeline.refine(target_id, prompt, "", stamp_ns)
            return found.message or f"refined target {target_id}"
        found = pipeline.start((prompt,), ("",), False, stamp_ns)
        return found.message or f"started target {found.target_ids[0]}"
