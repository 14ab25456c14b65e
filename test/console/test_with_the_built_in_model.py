# SPDX-License-Identifier: Apache-2.0
"""The whole way with the model that comes with seem_ros: the recorded tabletop, a page, a click on the mug.

Also writes the screenshots that the documentation shows, into out/console/.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import ROOT, Camera, NodeProcess, wait_for
from page import Page, overlap

from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
from seem_ros.demo.story import BOWL, CONE, RED_MUG, box_of, middle

OUT = ROOT / "out" / "console"
pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def shots():
    found = list(RecordedClip(find_clip("tabletop")))[:20]
    return found + found[18:0:-1]  # there and back: nothing jumps when it starts over


@pytest.fixture(scope="module")
def camera(private_ros, client, shots):
    node = NodeProcess(
        ROOT / "scripts" / "seem", "call_timeout_s:=20.0", "history_frames:=100", "camera_timeout_s:=5.0"
    )
    made = Camera(client, "image", lambda index: shots[index % len(shots)].rgb, rate_hz=4)
    yield made
    made.close()
    node.stop()


@pytest.fixture(scope="module")
def console(camera, start_console):
    return start_console()


def shot_of(page, camera, shots):
    """The frame of the clip that the page shows."""
    stamp = int(page.page.locator("#stage").get_attribute("data-shown"))
    return shots[camera.stamps_ns.index(stamp) % len(shots)]


@pytest.fixture(scope="module")
def page(browser, console):
    made = Page(browser, console.url)
    made.wait_for_picture()
    yield made
    made.close()


def test_a_click_on_the_mug_gives_the_mugs_mask(page, camera, shots):
    page.page.click("#freeze")
    x, y = middle(shot_of(page, camera, shots), RED_MUG)
    page.click(x, y)
    page.wait_for_targets(1)
    page.page.click("#freeze")

    def overlap_now():
        page.page.click("#freeze")
        shot = shot_of(page, camera, shots)
        page.page.hover("#targets li")  # masks of what is pointed at are painted more strongly
        painted = np.abs(page.drawn().astype(int) - shot.rgb).max(axis=2) > 60
        page.page.click("#freeze")
        return overlap(painted, shot.ids == RED_MUG)

    wait_for(lambda: overlap_now() >= 0.8, "the mug's mask in the page", 60)


def test_screenshots_of_desktop_and_phone(page, browser, console, camera, shots):
    OUT.mkdir(parents=True, exist_ok=True)
    x, y = middle(shots[0], CONE)
    page.click(x, y)
    page.wait_for_targets(2)
    box = box_of(shots[0], BOWL)
    page.drag((box.x0 - 4, box.y0 - 4), (box.x1 + 3, box.y1 + 3))
    page.wait_for_targets(3)
    wait_for(lambda: page.page.locator(".toast").count() == 0, "messages to fade", 30)
    page.page.hover("h1")
    page.page.screenshot(path=OUT / "desktop.png")
    page.page.click("#tab-health")
    page.page.wait_for_selector(".bars")
    page.page.screenshot(path=OUT / "health.png")
    page.page.click("#tab-calls")
    page.page.screenshot(path=OUT / "calls.png")
    page.page.click("#tab-settings")
    page.page.screenshot(path=OUT / "settings.png")
    page.page.click("#tab-targets")
    phone = Page(
        browser, console.url, viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True,
        is_mobile=True, color_scheme="dark",
    )  # fmt: skip
    phone.wait_for_picture()
    phone.wait_for_targets(3)
    filled = "canvas => canvas.getContext('2d').getImageData(28, 28, 1, 1).data[3] === 255"
    wait_for(lambda: phone.page.locator(".thumbnail").nth(2).evaluate(filled), "the last thumbnail")
    phone.page.screenshot(path=OUT / "phone.png")
    phone.close()
    for name, width in (("desktop", 1280), ("phone", 780), ("health", 1280), ("calls", 1280), ("settings", 1280)):
        picture = cv2.imread(str(Path(OUT / f"{name}.png")))
        assert picture.shape[1] == width and picture.std() > 20
    assert page.errors == [] and phone.errors == []
