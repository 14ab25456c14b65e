# SPDX-License-Identifier: Apache-2.0
"""What every test here needs: ROS, and the fixtures of `ros_fixtures.py`."""

from ros_fixtures import client, private_ros, start_node  # noqa: F401

try:
    import rclpy  # noqa: F401

    import seem_ros.msg  # noqa: F401
except ImportError as error:  # without `make build` or a ROS workspace there is nothing to test here
    collect_ignore_glob = ["test_*.py", "*/test_*.py"]
    print(f"test/ros is left out: {error}")
