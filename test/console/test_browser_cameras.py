# SPDX-License-Identifier: Apache-2.0
"""Several cameras, depth, the vocabulary and pictures from elsewhere, in a real headless Chromium."""

import base64

import cv2
import numpy as np
import pytest
from colour_backend import scene
from harness import Camera, wait_for
from page import Page, overlap
from sensor_msgs.msg import CameraInfo, Image

from seem_ros.console.pictures.wire import to_jpeg
from seem_ros.ros.messages.images import array_to_image
from seem_ros.srv import RemoveTargets

FRONT = scene({(30, 30): "red", (90, 60): "green"})
LEFT = scene({(64, 48): "blue"})
DEPTH_MM = 1500


def shown(picture):
    """As a picture looks without masks: JPEG blurs colours at edges."""
    return cv2.imdecode(np.frombuffer(to_jpeg(picture, 80, 1280), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def around(x, y):
    mask = np.zeros(FRONT.shape[:2], bool)
    mask[y - 8 : y + 8, x - 8 : x + 8] = True
    return mask


@pytest.fixture(scope="module")
def cameras(client, start_node):
    topics = ("front/image", "front/depth", "front/camera_info", "left/image")
    remaps = [f"{topic}:=/pair/{topic}" for topic in topics]
    start_node("cameras:=[front,left]", "things:=red, green, blue", "depth_wait_s:=0.05", remaps=remaps)
    depth, info = client.publisher(Image, "/pair/front/depth"), client.publisher(CameraInfo, "/pair/front/camera_info")

    def with_depth(rgb, header):
        calibration = CameraInfo(header=header, height=96, width=128)
        calibration.k = [100.0, 0.0, 64.0, 0.0, 100.0, 48.0, 0.0, 0.0, 1.0]
        info.publish(calibration)
        depth.publish(array_to_image(np.full((96, 128), DEPTH_MM, np.uint16), header, "16UC1"))
        return array_to_image(rgb, header)

    front = Camera(client, "/pair/front/image", lambda _: FRONT, rate_hz=10, convert=with_depth)
    left = Camera(client, "/pair/left/image", lambda _: LEFT, rate_hz=10)
    yield
    front.close()
    left.close()


@pytest.fixture(scope="module")
def shared(browser, cameras, start_console):
    console = start_console()
    made = Page(browser, console.url)
    made.requests = []
    made.page.on("request", lambda request: made.requests.append(request.url))
    made.page.reload()  # with an ear for what it asks for
    made.wait_for_picture()
    yield made
    made.close()


@pytest.fixture
def page(shared, client):
    wait_for(lambda: shared.page.locator("#cameras button").count() == 2, "two tabs")
    look_at(shared, "front", FRONT)
    yield shared
    client.call(RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(all=True))
    shared.page.click("#tab-targets")
    shared.wait_for_targets(0)
    assert shared.errors == []


def look_at(page, camera, picture):
    page.page.locator("#cameras").get_by_text(camera, exact=True).click()
    wait_for(lambda: np.abs(page.drawn().astype(int) - picture).mean() < 6, f"the pictures of {camera}")


def test_cameras_are_tabs_with_pictures_and_targets_of_their_own(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    look_at(page, "left", LEFT)
    page.wait_for_targets(0)
    page.click(64, 48)
    page.wait_for_targets(1)
    wait_for(lambda: overlap(page.coloured(shown(LEFT)), around(64, 48)) > 0.8, "the mask on the left camera's thing")
    page.page.click("#tab-calls")
    assert "camera: left" in page.page.locator("#calls code").first.text_content()
    page.page.click("#tab-targets")
    look_at(page, "front", FRONT)
    wait_for(lambda: overlap(page.coloured(shown(FRONT)), around(90, 60)) > 0.8, "the mask on the front camera's thing")


def test_a_target_of_a_camera_with_depth_shows_where_it_is(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    place = page.page.locator("#targets .place")
    wait_for(lambda: "z 1.50 m" in place.text_content(), "its position")
    assert "x 0.38" in place.text_content() or "x 0.39" in place.text_content()


def test_the_vocabulary_is_changed_and_offered_while_typing(page):
    page.page.click("#tab-settings")
    things = page.page.locator("#vocabulary-things")
    things.fill("red, blue")
    things.press("Enter")
    options = "() => [...document.querySelectorAll('#names option')].map(option => option.value)"
    wait_for(lambda: {"red", "blue"} <= set(page.page.evaluate(options)), "the new names")
    wait_for(lambda: "green" not in page.page.evaluate(options), "the old name's end")
    page.page.reload()
    page.wait_for_picture()
    page.page.click("#tab-settings")
    wait_for(lambda: page.page.locator("#vocabulary-things").input_value() == "red, blue", "what the node has")


def test_what_is_typed_while_the_nodes_parameters_are_on_their_way_stays(page):
    things = page.page.locator("#vocabulary-things")
    held = []
    page.page.route("**/api/parameters*", lambda route: held.append(route))
    with page.page.expect_request("**/api/parameters*"):
        page.page.click("#tab-settings")
    things.fill("")
    things.press_sequentially("green, bl")
    with page.page.expect_response("**/api/parameters*") as answered:
        held[0].continue_()
    answered.value.finished()
    page.page.unroute("**/api/parameters*")
    things.press_sequentially("ue")
    assert things.input_value() == "green, blue"
    things.press("Enter")
    everywhere = page.page.locator("#parameter-things")
    wait_for(lambda: everywhere.input_value() == "green, blue", "the same in the list of all parameters")


def test_a_picture_that_is_dropped_on_the_page_is_a_reference(page):
    other = cv2.imencode(".png", scene({(64, 50): "green"}, size=40)[:, :, ::-1])[1].tobytes()
    page.page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], 'green.png', { type: 'image/png' }));
            document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, bubbles: true }));
        }""",
        base64.b64encode(other).decode(),
    )
    mark_in_reference(page, 64, 50)
    page.wait_for_targets(1)
    wait_for(lambda: overlap(page.coloured(shown(FRONT)), around(90, 60)) > 0.8, "the green one")


def test_a_thing_in_the_frozen_picture_is_a_reference(page):
    page.page.click("#freeze")
    page.page.keyboard.press("r")
    mark_in_reference(page, 30, 30)
    page.wait_for_targets(1)
    page.page.click("#freeze")
    wait_for(lambda: overlap(page.coloured(shown(FRONT)), around(30, 30)) > 0.8, "the red one")


def mark_in_reference(page, x, y):
    page.page.wait_for_selector("#reference[open]")
    canvas = page.page.locator("#reference-picture")
    wait_for(lambda: page.page.locator("#reference-find").is_disabled(), "nothing marked yet")
    canvas.click(trial=True)  # waits until it stands still
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * (x + 0.5) / 128, "y": box["height"] * (y + 0.5) / 96})
    page.page.click("#reference-find")


def test_the_page_asks_for_nothing_beyond_the_console_itself(page):
    page.page.reload()
    page.wait_for_picture()
    foreign = [url for url in page.requests if not url.startswith((page.page.url, "blob:", "data:"))]
    assert page.requests and not foreign
