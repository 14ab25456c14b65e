# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the console: a private DDS domain, a node over the colour model, a camera, consoles, a browser."""

import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "ros", HERE.parent / "perception"):
    sys.path.insert(0, str(folder))

try:
    import rclpy  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
    import websockets  # noqa: F401

    import seem_ros.msg  # noqa: F401
except ImportError as error:
    collect_ignore_glob = ["test_*.py"]
    print(f"test/console is left out: {error}")


@pytest.fixture(scope="session", autouse=True)
def private_ros(tmp_path_factory):
    """A domain of our own on this machine only, and logs outside the home folder."""
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def client(private_ros):
    """A ROS client of the test's own, beside the console."""
    from harness import Client

    made = Client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def start_node(private_ros):
    """Starts nodes over the colour model; all are ended after the module."""
    from harness import NodeProcess

    started = []

    def start(*parameters, remaps=(), name="seem"):
        node = NodeProcess(HERE.parent / "ros" / "colour_node.py", *parameters, remaps=remaps, name=name)
        started.append(node)
        return node

    yield start
    for node in started:
        node.stop()


@pytest.fixture(scope="module")
def start_console(private_ros, tmp_path_factory):
    """Starts consoles; all are ended after the module."""
    from console_process import ConsoleProcess

    started = []

    def start(*arguments):
        console = ConsoleProcess(tmp_path_factory.mktemp("console") / "log.txt", *arguments)
        started.append(console)
        return console

    yield start
    for console in started:
        console.stop()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium: the system's own, driven by playwright, whose event loop must not outlive the module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium here (apt install chromium)")
    with playwright.sync_playwright() as driver:
        # the sandbox of Chromium needs a user other than root
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = driver.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()
