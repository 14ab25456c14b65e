# SPDX-License-Identifier: Apache-2.0
"""A camera over the simulated tabletop as a ROS node: the recorded clip (no OpenGL needed), or the living world.

Publishes `image`, `camera_info`, `depth`, the camera's place in the frame `table` (/tf, where tf2_msgs is installed)
and the truth: `ground_truth`, a SegmentArray.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from seem_ros.datasets.recorded_clip import RecordedClip, Shot, find_clip
from seem_ros.errors import SeemError
from seem_ros.msg import Box, Pixel, SegmentArray, SegmentRecord
from seem_ros.perception.structures.frame import Intrinsics
from seem_ros.perception.structures.rigid_transform import quaternion_of
from seem_ros.ros.messages.images import array_to_image
from seem_ros.ros.transforms.broadcaster import BROADCAST
from seem_ros.ros.transforms.listener import TFMessage

FRAME_ID, TABLE = "tabletop_camera_optical_frame", "table"


def camera_info(header: Header, height: int, width: int, lens: Intrinsics) -> CameraInfo:
    """Calibration of a pinhole camera without distortion."""
    return CameraInfo(
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[lens.fx, 0.0, lens.cx, 0.0, lens.fy, lens.cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[lens.fx, 0.0, lens.cx, 0.0, 0.0, lens.fy, lens.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def camera_place(header: Header, world_from_camera: np.ndarray) -> TransformStamped:
    """Where the camera, whose frame the header names, is in the world whose origin lies in the table's top.

    Args:
        header: Of the picture.
        world_from_camera: float64 [4, 4], from the optical frame, metres.
    """
    x, y, z = map(float, world_from_camera[:3, 3])
    turned = dict(zip("xyzw", map(float, quaternion_of(world_from_camera[:3, :3])), strict=True))
    return TransformStamped(
        header=Header(stamp=header.stamp, frame_id=TABLE),
        child_frame_id=header.frame_id,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(**turned)),
    )


def ground_truth(shot: Shot, names: dict[int, str], header: Header) -> SegmentArray:
    """What is really there; target_id is the object's id in the world."""
    records = []
    for value in np.unique(shot.ids):
        if value == 0:
            continue
        rows, columns = np.nonzero(shot.ids == value)
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        records.append(
            SegmentRecord(
                value=int(value),
                target_id=int(value),
                is_thing=True,
                label=names.get(int(value), ""),
                label_score=1.0,
                mask_score=1.0,
                presence=1.0,
                area=len(rows),
                box=Box(x0=float(x0), y0=float(y0), x1=float(x1), y1=float(y1)),
                centroid=Pixel(x=float(columns.mean()), y=float(rows.mean())),
            )
        )
    return SegmentArray(header=header, camera="ground_truth", labels=array_to_image(shot.ids, header), segments=records)


def recorded(clip: RecordedClip, loop: bool) -> Iterator[Shot]:
    """The clip's frames, over and over where wanted."""
    while True:
        yield from clip
        if not loop:
            return


def living(seed: int, rate_hz: float, height: int, width: int) -> tuple[Iterator[Shot], dict[int, str], Intrinsics]:
    """The simulated world, its names and the camera's intrinsics.

    Raises:
        SeemError: There is no OpenGL here, or MuJoCo is not installed.
    """
    try:
        from seem_ros.sim.live_camera import TabletopCamera as World
    except ImportError as error:
        raise SeemError(f"the living tabletop needs MuJoCo (pip install mujoco): {error}") from error
    world = World(seed, height_px=height, width_px=width, rate_hz=rate_hz)
    lens = Intrinsics.of_matrix(world.read().intrinsics)

    def shots() -> Iterator[Shot]:
        while True:
            frame = world.read()
            yield Shot(frame.rgb, frame.ids, frame.depth_m, frame.world_from_camera)

    return shots(), {item.id: item.name for item in world.instances}, lens


class TabletopCameraNode(Node):
    """Plays frames at a rate.

    Args:
        kwargs: Of rclpy's node.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("tabletop_camera", **kwargs)

        def declare(name: str, default: Any, description: str, **limits: Any) -> Any:
            return self.declare_parameter(name, default, ParameterDescriptor(description=description, **limits)).value

        sides = [IntegerRange(from_value=32, to_value=2048, step=1)]
        clip = declare("clip", "tabletop", "Folder or name of a recorded clip; empty = the living simulated world.")
        rate_hz = declare(
            "rate_hz",
            0.0,
            "Frames per second; 0 = the clip's own, 15 for the living world.",
            floating_point_range=[FloatingPointRange(from_value=0.0, to_value=120.0)],
        )
        loop = declare("loop", True, "Begin again when the clip ends.")
        seed = declare("seed", 7, "Draws the living world.")
        width = declare("width", 320, "Width of the living world's pictures.", integer_range=sides)
        height = declare("height", 240, "Height of the living world's pictures.", integer_range=sides)
        if clip:
            played = RecordedClip(find_clip(clip))
            self._shots, self._names, self._lens = recorded(played, loop), played.names, played.intrinsics
            rate_hz = rate_hz or played.rate_hz
        else:
            rate_hz = rate_hz or 15.0
            self._shots, self._names, self._lens = living(seed, rate_hz, height, width)
        self._image = self.create_publisher(Image, "image", qos_profile_sensor_data)
        self._info = self.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
        self._depth = self.create_publisher(Image, "depth", qos_profile_sensor_data)
        self._truth = self.create_publisher(SegmentArray, "ground_truth", 1)
        self._places = None if TFMessage is None else self.create_publisher(TFMessage, "/tf", BROADCAST)
        self.done = False
        self.create_timer(1.0 / rate_hz, self._tick)
        self.get_logger().info(f"{'clip ' + clip if clip else 'living world'} at {rate_hz:g} frames per second")

    def _tick(self) -> None:
        shot = next(self._shots, None)
        if shot is None:
            self.done = True
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)
        height, width = shot.ids.shape
        if self._lens is not None:
            self._info.publish(camera_info(header, height, width, self._lens))
        if self._places is not None and shot.world_from_camera is not None:
            self._places.publish(TFMessage(transforms=[camera_place(header, shot.world_from_camera)]))
        if shot.depth_m is not None and self._depth.get_subscription_count():
            self._depth.publish(array_to_image(shot.depth_m, header, "32FC1"))
        self._image.publish(array_to_image(shot.rgb, header))
        if self._truth.get_subscription_count():
            self._truth.publish(ground_truth(shot, self._names, header))


def main(args: list[str] | None = None) -> int:
    """Run the camera until it is told to end, or the clip is over.

    Returns:
        The exit status.
    """
    rclpy.init(args=args)
    try:
        node = TabletopCameraNode()
        while not node.done:
            rclpy.spin_once(node)
    except SeemError as error:
        print(f"tabletop_camera: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # else it was told to end in the middle of a publication
            raise
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
