# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the console: a private DDS domain, a node over the colour model, a camera, consoles, a browser."""

import os
import shutil

import pytest
from ros_fixtures import client, private_ros, start_node  # noqa: F401

try:
    import rclpy  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
    import websockets  # noqa: F401

    import seem_ros.msg  # noqa: F401
except ImportError as error:
    collect_ignore_glob = ["test_*.py"]
    print(f"test/console is left out: {error}")


@pytest.fixture(scope="module")
def start_console(private_ros, tmp_path_factory):  # noqa: F811
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


@pytest.fixture(scope="module")
def objects_dir(tmp_path_factory):
    return f"objects_dir:={tmp_path_factory.mktemp('objects')}"


@pytest.fixture(scope="module")
def node(start_node, objects_dir):  # noqa: F811
    from one_camera import PARAMETERS

    return start_node(*PARAMETERS, objects_dir)


@pytest.fixture(scope="module")
def camera(client, node):  # noqa: F811
    from harness import Camera
    from one_camera import ticking

    made = Camera(client, "image", ticking, rate_hz=10)
    yield made
    made.close()


@pytest.fixture(scope="module")
def console(camera, start_console):
    return start_console()


@pytest.fixture(scope="module")
def shared(browser, console):
    """One page for the module: opening one for each test would take most of the time."""
    from page import Page

    made = Page(browser, console.url)
    made.wait_for_picture()
    yield made
    made.close()


@pytest.fixture
def page(shared, client, camera):  # noqa: F811
    """The page without targets, marks and modes."""
    from seem_ros.srv import RemoveTargets

    camera.resume()
    yield shared
    client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(all=True))
    if shared.page.locator("#reference").is_visible():  # a test that failed half-way must not fail the next
        shared.page.click("#reference-cancel")
    for button in ("collect", "freeze", "negative"):
        if shared.page.locator(f"#{button}").get_attribute("aria-pressed") == "true":
            shared.page.click(f"#{button}")
    shared.page.click("#tool-point")
    shared.page.click("#tab-targets")
    shared.wait_for_targets(0)
    assert shared.errors == []
