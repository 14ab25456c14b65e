# SPDX-License-Identifier: Apache-2.0
"""A page whose picture stands still for seconds, as on a busy robot or a thin link, in a real headless Chromium."""

import pytest
from colour_backend import scene
from harness import Camera, wait_for
from page import Page

STILL = scene({(90, 60): "green"})


@pytest.fixture(scope="module")
def page(browser, client, start_node, start_console):
    """One picture in five seconds; the node's memory reaches farther back than that."""
    start_node("history_frames:=120")
    camera = Camera(client, "image", lambda index: STILL, rate_hz=10)
    made = Page(browser, start_console("--max-rate-hz", "0.2").url)
    made.wait_for_picture()
    yield made
    made.close()
    camera.close()


def test_a_click_where_a_removed_target_was_starts_a_new_one_though_the_picture_is_old(page):
    plain, thing = page.drawn(), (slice(52, 68), slice(82, 98))
    page.click(90, 60)
    (first,) = page.wait_for_targets(1)
    wait_for(lambda: page.coloured(plain)[thing].mean() > 0.8, "the mask in the picture", 30)
    page.page.click(f"[aria-label='Remove target {first}']")
    page.wait_for_targets(0)
    assert not page.coloured(plain)[thing].any()  # what is gone is not painted any longer
    page.click(90, 60)
    (second,) = page.wait_for_targets(1)
    assert second != first
