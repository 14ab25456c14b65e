# SPDX-License-Identifier: Apache-2.0
"""What every test here needs: ROS, and the fixtures of `ros_fixtures.py`."""

import os
import time
from pathlib import Path

import pytest
from ros_fixtures import client, private_ros, start_node  # noqa: F401

LAST_WORDS = 4000  # characters

try:
    import rclpy  # noqa: F401

    import seem_ros.msg  # noqa: F401
except ImportError as error:  # without `make build` or a ROS workspace there is nothing to test here
    collect_ignore_glob = ["test_*.py", "*/test_*.py"]
    print(f"test/ros is left out: {error}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that fails shows what the nodes printed meanwhile."""
    report = yield
    if report.when == "call" and report.failed and "ROS_LOG_DIR" in os.environ:
        began = time.time() - call.duration
        for log in sorted(Path(os.environ["ROS_LOG_DIR"]).glob("node_*.txt")):
            if log.stat().st_mtime >= began and (said := log.read_text(errors="replace")[-LAST_WORDS:]):
                report.sections.append((f"printed by {log.name}", said))
    return report
