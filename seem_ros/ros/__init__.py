# SPDX-License-Identifier: Apache-2.0
"""ROS: messages to values and back, cameras, services, the nodes and a client. Nothing below it knows ROS."""

import os

# A picture in a request is decoded by OpenCV, which reads this bound when it is first imported: no decompression bombs.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(8192 * 8192))
