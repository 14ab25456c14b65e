# SPDX-License-Identifier: Apache-2.0
"""A camera driver in a process of its own that publishes pictures without a rest, to be killed meanwhile."""

import sys
import time

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

HEIGHT, WIDTH = 480, 640
PAUSE_S = 0.002  # shorter than the way of a picture: there is nearly always one on it


def main(topic: str) -> None:
    """Publish until killed."""
    rclpy.init()
    node = rclpy.create_node("driver")
    publisher = node.create_publisher(Image, topic, qos_profile_sensor_data)
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    picture[100:300, 100:300] = (255, 0, 0)
    message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH, data=picture.tobytes())
    message.header.frame_id = "optical"
    while True:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1])
