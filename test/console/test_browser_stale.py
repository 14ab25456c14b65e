# SPDX-License-Identifier: Apache-2.0
"""A picture that stands still, on a busy robot or with a paused bag, in a real headless Chromium."""

import pytest
from colour_backend import scene
from harness import Camera, wait_for
from page import Page

STILL = scene({(90, 60): "green"})
THING = (slice(52, 68), slice(82, 98))


@pytest.fixture(scope="module")
def camera(client, start_node):
    start_node("history_frames:=120")
    made = Camera(client, "image", lambda index: STILL, rate_hz=10)
    yield made
    made.close()


@pytest.fixture
def open_page(browser, camera, start_console):
    """Opens a page of a new console."""
    opened = []

    def start(*arguments):
        opened.append(Page(browser, start_console(*arguments).url))
        opened[-1].wait_for_picture()
        return opened[-1]

    yield start
    for page in opened:
        assert page.errors == []
        page.close()


def test_a_click_where_a_removed_target_was_starts_a_new_one_though_the_picture_is_old(open_page):
    page = open_page("--max-rate-hz", "0.4")  # the node's memory reaches farther back than that
    plain = page.drawn()
    page.click(90, 60)
    (first,) = page.wait_for_targets(1)
    wait_for(lambda: page.coloured(plain)[THING].mean() > 0.8, "the mask in the picture", 30)
    page.page.click(f"[aria-label='Remove target {first}']")
    page.wait_for_targets(0)
    assert not page.coloured(plain)[THING].any()  # what is gone is not painted any longer
    page.click(90, 60)
    (second,) = page.wait_for_targets(1)
    assert second != first
    page.page.click(f"[aria-label='Remove target {second}']")
    page.wait_for_targets(0)


def test_while_the_bag_is_paused_clicks_and_words_are_shown_on_the_picture_that_stands(open_page, camera):
    page = open_page()
    camera.pause()
    page.page.locator("#age", has_text="No picture for").wait_for()
    plain, stamp = page.drawn(), page.stamp
    page.click(90, 60)
    (target,) = page.wait_for_targets(1)
    wait_for(lambda: page.coloured(plain)[THING].mean() > 0.8, "the mask on the thing")
    page.page.click(f"[aria-label='Remove target {target}']")
    page.wait_for_targets(0)
    wait_for(lambda: not page.coloured(plain)[THING].any(), "the picture without a mask")
    page.say("green")
    assert list(page.wait_for_targets(1).values()) == ["green"]
    wait_for(lambda: page.coloured(plain)[THING].mean() > 0.8, "the mask on the thing again")
    assert page.stamp == stamp and page.page.locator("#age").is_visible()
    camera.resume()
