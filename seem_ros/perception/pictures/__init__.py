# SPDX-License-Identifier: Apache-2.0
"""From what cameras, bags and files hold to RGB pictures and depth: one conversion for all of them, free of ROS.

Messages are taken by their fields (sensor_msgs/Image, CompressedImage, CameraInfo), whoever read them: rclpy or a bag
library.
"""
