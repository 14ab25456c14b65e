# SPDX-License-Identifier: Apache-2.0
"""Where a camera stands in the frame that positions are wanted in, picture by picture."""

from __future__ import annotations

from typing import Any

from seem_ros.perception.structures.rigid_transform import RigidTransform
from seem_ros.ros.transforms.buffer import ExtrapolationError, TransformBuffer, TransformError


class Placement:
    """Looks up a camera's place at the stamp of a picture.

    Args:
        camera: Its name.
        logger: An rclpy logger; told once about every kind of reason why there is no place.
        buffer: The robot's frames.

    Attributes:
        reason: Why the last picture has no place; "" where it has.
        without: Pictures without a place since the start.
    """

    def __init__(self, camera: str, logger: Any, buffer: TransformBuffer) -> None:
        self.reason, self.without = "", 0
        self._camera, self._logger, self._buffer = camera, logger, buffer
        self._said: set[tuple[str, str]] = set()

    def is_settled(self, target_frame: str, frame_id: str, stamp_ns: int) -> bool:
        """Whether waiting cannot help: the place is known, or not only a little too new."""
        if not target_frame or target_frame == frame_id:
            return True
        try:
            self._buffer.lookup(target_frame, frame_id, stamp_ns)
        except ExtrapolationError as error:
            return not error.too_new
        except TransformError:
            pass
        return True

    def of(self, target_frame: str, frame_id: str, stamp_ns: int) -> RigidTransform | None:
        """From the camera's frame to the wanted one at a time; None, with the `reason`, where it is not known.

        Args:
            target_frame: The wanted frame, another than the camera's.
            frame_id: The picture's.
            stamp_ns: The picture's; 0 = the newest that is known.
        """
        try:
            transform = self._buffer.lookup(target_frame, frame_id, stamp_ns)
        except TransformError as error:
            self.reason = f"no positions in frame {target_frame!r}: {error}"
            self.without += 1
            kind = (type(error).__name__, target_frame)  # stamps and frames differ in every picture
            if kind not in self._said:
                self._said.add(kind)
                self._logger.warning(f"camera {self._camera}: {self.reason}")
            return None
        self.reason = ""
        return transform
