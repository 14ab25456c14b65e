# SPDX-License-Identifier: Apache-2.0
"""Plays footage as a ROS camera, over and over: a video, a folder of pictures, a bag, or a webcam's number.

    python -m seem_ros.console.footage my.mp4

Stamps are the time of publication.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seem_ros.datasets.media import open_media
from seem_ros.errors import DataError, SeemError
from seem_ros.ros.messages.images import array_to_image

FRAME_ID = "footage_optical_frame"


def looped(source: str) -> Iterator[tuple[np.ndarray, float]]:
    """Pictures, uint8 [H, W, 3], and the seconds each is shown; a recording starts over at its end.

    Raises:
        SeemError: The source cannot be read or holds no pictures.
    """
    while True:
        media, count = open_media(source), 0
        for _, frame in media.frames:
            count += 1
            yield frame.rgb, 1.0 / media.rate_hz
        if not count:
            raise DataError(f"{source} holds no pictures")


def check_footage(source: str) -> None:
    """Look at its first picture, before anything is started for it.

    Raises:
        SeemError: The source cannot be read or holds no pictures.
    """
    frames = open_media(source).frames
    if next(frames, None) is None:
        raise DataError(f"{source} holds no pictures")
    if hasattr(frames, "close"):
        frames.close()  # a webcam serves one at a time


def main(arguments: list[str] | None = None) -> int:
    """Play until told to end.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="video, folder of pictures, bag, or a webcam's number")
    parser.add_argument("--topic", default="/camera/image", help="default /camera/image")
    options = parser.parse_args(arguments)
    rclpy.init()
    try:
        node = rclpy.create_node("footage")
        publisher = node.create_publisher(Image, options.topic, qos_profile_sensor_data)
        due_s = time.monotonic()
        for rgb, period_s in looped(options.source):
            header = Header(stamp=node.get_clock().now().to_msg(), frame_id=FRAME_ID)
            publisher.publish(array_to_image(rgb, header))
            due_s = max(due_s + period_s, time.monotonic() - period_s)
            rclpy.spin_once(node, timeout_sec=max(0.0, due_s - time.monotonic()))
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not rclpy.ok():
                break
    except SeemError as error:
        print(f"footage: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
