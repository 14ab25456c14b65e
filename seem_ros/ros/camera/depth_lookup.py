# SPDX-License-Identifier: Apache-2.0
"""Depth and lens of a camera's picture, and in words why there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from seem_ros.errors import FrameError
from seem_ros.perception.pictures.calibration import intrinsics_of, is_rectified_topic
from seem_ros.perception.pictures.depth_image import decode_depth
from seem_ros.perception.structures.frame import Frame, Intrinsics
from seem_ros.ros.camera.depth_sync import DepthPairing
from seem_ros.ros.camera.frame_buffer import StoredFrame
from seem_ros.ros.parameters import Settings
from seem_ros.ros.transforms.buffer import TransformBuffer
from seem_ros.ros.transforms.placement import Placement


class DepthLookup:
    """What is known about a camera's depth.

    Args:
        camera: Its name.
        logger: An rclpy logger; told once about every reason why there are no positions.
        topics: Gives the resolved names of the image, depth and camera_info topics.
        buffer: The robot's frames.

    Attributes:
        pairing: The last depth messages.
        info: The last calibration, sensor_msgs/CameraInfo, or None.
        placement: Where the camera stands in the frame that positions are wanted in.
        without: Pictures without depth since the start, while depth was sent or expected.
    """

    def __init__(
        self, camera: str, logger: Any, topics: Callable[[], tuple[str, str, str]], buffer: TransformBuffer
    ) -> None:
        self.pairing = DepthPairing()
        self.info: Any = None
        self.placement = Placement(camera, logger, buffer)
        self._reason = ""
        self.without = 0
        self._camera, self._logger, self._topics = camera, logger, topics
        self._said: set[str] = set()
        self._heard = False

    @property
    def reason(self) -> str:
        """Why the last picture has no positions; "" where it has, or where nobody sends depth."""
        return self._reason or self.placement.reason

    def complete(self, stored: StoredFrame, frame: Frame, settings: Settings) -> Frame:
        """The picture with its depth, its lens and its camera's place, as far as they are known."""
        target_frame = "" if settings.target_frame == frame.frame_id else settings.target_frame
        depth_m, lens = self.of(stored, frame.height, frame.width, settings)
        transform = None
        if depth_m is None or not target_frame:
            self.placement.reason = ""
        else:
            transform = self.placement.of(target_frame, frame.frame_id, stored.stamp_ns)
        return replace(frame, depth_m=depth_m, intrinsics=lens, target_frame=target_frame, target_from_camera=transform)

    def on_depth(self, msg: Any) -> None:
        """Depth arrived; called on executor threads."""
        self._heard = True
        self.pairing.add(msg)

    def on_info(self, msg: Any) -> None:
        """Calibration arrived; called on executor threads."""
        self.info = msg

    def clear(self) -> None:
        """Forget all messages."""
        self.pairing.clear()
        self.info, self._reason, self._heard = None, "", False

    def is_settled(self, stored: StoredFrame, settings: Settings) -> bool:
        """Whether waiting cannot give the picture a better depth or place, or would take too long."""
        waited_s = stored.age_s
        if self.info is None or not self.pairing.alive:
            return True
        if waited_s < settings.depth_wait_s and not self.pairing.settled(
            stored.stamp_ns, settings.depth_tolerance_s, stored.arrived_s
        ):
            return False
        return waited_s >= settings.transform_wait_s or self.is_placed(stored, settings)

    def is_placed(self, stored: StoredFrame, settings: Settings) -> bool:
        """Whether the camera's place at a picture is known, or will never be."""
        return self.placement.is_settled(settings.target_frame, stored.header.frame_id, stored.stamp_ns)

    def lens(self, height: int, width: int, settings: Settings) -> Intrinsics:
        """The lens of the camera's pictures.

        Raises:
            FrameError: There is no calibration that fits them.
        """
        image, _, info_topic = self._topics()
        if self.info is None:
            raise FrameError(f"no camera_info has come on {info_topic}")
        rectified = settings.rectified == "yes" or (settings.rectified == "auto" and is_rectified_topic(image))
        return intrinsics_of(self.info, height, width, rectified)

    def of(
        self, stored: StoredFrame, height: int, width: int, settings: Settings
    ) -> tuple[np.ndarray | None, Intrinsics | None]:
        """Depth (float32 [height, width], metres) and lens of a picture; without them there are no positions.

        What stands in the way is in `reason`, and is logged once.
        """
        if not settings.use_depth:
            self._reason = ""
            return None, None
        try:
            message = self.pairing.match(stored.stamp_ns, settings.depth_tolerance_s, stored.arrived_s)
            if message is None:
                self._no_partner(settings)
                return None, None
            lens = self.lens(height, width, settings)
            depth_m = decode_depth(message)
            if depth_m.shape != (height, width):
                raise FrameError(
                    f"depth has {depth_m.shape[1]}x{depth_m.shape[0]} pixels, the image {width}x{height}; register it "
                    "to the image"
                )
        except FrameError as error:
            self._missing(str(error))
            return None, None
        self._reason = ""
        return depth_m, lens

    def _no_partner(self, settings: Settings) -> None:
        topic = self._topics()[1]
        if not self._heard:
            self._reason = ""  # a camera without depth is nothing to complain about
        elif self.pairing.alive:
            self._missing(
                f"no depth within {settings.depth_tolerance_s:g} s of the picture's stamp on {topic} "
                "(depth_tolerance_s)"
            )
        else:
            self._missing(f"depth on {topic} has stopped")

    def _missing(self, reason: str) -> None:
        self._reason = f"no positions: {reason}"
        self.without += 1
        # stamps jitter: single pictures without a partner are counted, not logged
        if reason not in self._said:
            self._said.add(reason)
            self._logger.warning(f"camera {self._camera}: {self._reason}")
