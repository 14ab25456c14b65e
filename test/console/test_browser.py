# SPDX-License-Identifier: Apache-2.0
"""The console as people meet it: a real headless Chromium, a real node over the colour model, a real camera."""

import json
import zipfile

import cv2
import numpy as np
from harness import wait_for
from one_camera import PARAMETERS, SHOWN, STILL, asked, calls, square, wait_for_mask
from page import Page, overlap

CLOCK = (slice(0, 8), slice(0, 128))  # where the picture moves


def test_it_opens_and_shows_moving_pictures(page):
    assert page.page.title() == "SEEM console"
    first = page.stamp
    wait_for(lambda: page.stamp != first, "another picture")
    seen = page.drawn()
    wait_for(lambda: np.abs(page.drawn()[CLOCK].astype(int) - seen[CLOCK]).max() > 60, "a picture that moves")
    assert np.abs(seen[16:].astype(int) - STILL[16:]).mean() < 6


def test_hovering_lights_a_target_up(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for_mask(page, 90, 60, "the mask")
    lit = page.drawn()[60, 90].astype(int)  # the pointer is still where it clicked
    page.page.mouse.move(*page.place(10, 88))
    wait_for(lambda: np.abs(page.drawn()[60, 90] - lit).max() > 6, "a mask that is not lit any more")
    page.page.mouse.move(*page.place(90, 60))
    wait_for(lambda: np.abs(page.drawn()[60, 90] - lit).max() <= 3, "a mask that is lit again")


def test_a_targets_colour_can_be_changed_at_once(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for_mask(page, 90, 60, "the mask")
    page.page.locator("#targets .swatch").fill("#ff00ff")
    wait_for(lambda: page.drawn()[60, 90, 0] > 100 and page.drawn()[60, 90, 2] > 90, "the mask in its new colour")


def test_targets_are_removed_one_by_one_and_together(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    page.say("red")
    page.wait_for_targets(2)
    page.say("blue")
    first = min(page.wait_for_targets(3))
    page.page.click(f"[aria-label='Remove target {first}']")
    assert first not in page.wait_for_targets(2)
    page.page.click("#remove-all")
    page.wait_for_targets(0)
    wait_for(lambda: page.coloured(SHOWN)[16:].sum() == 0, "a picture without masks")


def test_a_name_is_changed_in_the_list_and_kept_by_the_node(page, browser, console):
    page.click(90, 60)
    page.wait_for_targets(1)
    name = page.page.locator("#targets .name")
    name.fill("my square")
    name.press("Enter")
    asked(page, "/seem/rename", "label: my square")
    other = Page(browser, console.url)
    wait_for(lambda: list(other.targets().values()) == ["my square"], "the new name in another browser")
    other.close()


def test_a_target_shows_its_thumbnail_state_and_presence(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    row = page.page.locator("#targets li")
    wait_for(lambda: "seen" in row.locator(".state").text_content(), "the state in words")
    middle = "() => [...document.querySelector('.thumbnail').getContext('2d').getImageData(28, 28, 1, 1).data]"
    wait_for(lambda: page.page.evaluate(middle)[1] > 150, "a green thumbnail")
    line = (
        "() => [...document.querySelector('.curve').getContext('2d')"
        ".getImageData(0, 0, 120, 24).data].some(v => v > 200)"
    )
    wait_for(lambda: page.page.evaluate(line), "a curve")


def test_a_parameter_is_described_and_set(page):
    page.page.click("#tab-settings")
    page.page.fill("#filter", "overlay_alpha")
    row = page.page.locator("[id='parameter-overlay_alpha']")
    row.wait_for()
    assert row.get_attribute("min") == "0" and row.get_attribute("max") == "1"
    row.fill("0.3")
    wait_for(lambda: any("ros2 param set /seem overlay_alpha 0.3" in line for line in calls(page)), "the call")
    assert "Opacity" in page.page.locator(".parameter:visible").text_content()
    page.page.fill("#filter", "")


def test_panoptic_shows_the_vocabulary_in_the_picture(page):
    page.page.click("#tab-settings")
    switch = page.page.locator("#vocabulary-panoptic")
    switch.check()
    wait_for(lambda: page.coloured(SHOWN)[16:].sum() > 600, "segments of the vocabulary")
    page.page.locator("#vocabulary-panoptic").uncheck()
    wait_for(lambda: page.coloured(SHOWN)[16:].sum() == 0, "a plain picture")


def test_the_health_is_told_in_words_with_times_per_stage(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    page.page.click("#tab-health")
    page.page.wait_for_selector(".bars")
    text = page.page.locator("#health").text_content()
    assert "fine" in text and "listening to /image" in text and "encode" in text and "resident memory mb" in text


def test_a_line_of_the_log_can_be_copied(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.say("green")
    page.wait_for_targets(1)
    page.page.click("#tab-calls")
    page.page.locator("#calls li").first.get_by_role("button", name="Copy").click()
    asked(page, "text: green")
    copied = page.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == calls(page)[0] and copied.startswith("ros2 service call /seem/segment seem_ros/srv/Segment")


def test_save_this_downloads_one_file(page):
    page.say("green")
    page.wait_for_targets(1)
    wait_for_mask(page, 90, 60, "the mask")
    with page.page.expect_download() as waiting:
        page.page.click("#save")
    archive = zipfile.ZipFile(waiting.value.path())
    (segment,) = json.loads(archive.read("segments.json"))["segments"]
    labels = cv2.imdecode(np.frombuffer(archive.read("labels.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert overlap(labels == segment["value"], square(90, 60)) > 0.8


def test_a_name_with_markup_is_text(page, console):
    name = "<img src=x onerror=document.title='bad'>"
    done = console.call("segment", {"prompts": [{"text": "green", "label": name}], "track": True})
    assert done["success"]
    assert list(page.wait_for_targets(1).values()) == [name]
    assert page.page.title() == "SEEM console" and page.page.locator("#targets img").count() == 0


def test_two_browsers_see_the_same_and_may_both_act(page, browser, console):
    other = Page(browser, console.url)
    other.wait_for_picture()
    page.click(90, 60)
    (target,) = page.wait_for_targets(1)
    assert list(other.wait_for_targets(1)) == [target]
    wait_for_mask(other, 90, 60, "the mask in the other browser")
    assert asked(other, "clicks: [{x: 90") == asked(page, "clicks: [{x: 90")
    other.page.click(f"[aria-label='Remove target {target}']")
    page.wait_for_targets(0)
    other.close()


def test_a_camera_that_goes_away_is_said_and_comes_back(page, camera):
    camera.pause()
    page.page.wait_for_selector("#age:not([hidden])", state="visible")
    wait_for(lambda: "No picture for" in page.page.locator("#age").text_content(), "how long there was none")
    page.page.click("#tab-health")
    wait_for(lambda: "no frame for" in page.page.locator("#health").text_content(), "the node's words")
    camera.resume()
    page.page.wait_for_selector("#age", state="hidden")


def test_the_page_comes_back_when_the_console_was_away(browser, start_console, console, page):
    first = start_console()
    other = Page(browser, first.url)
    other.wait_for_picture()
    first.stop()
    wait_for(lambda: "not there" in other.page.locator("#cover").text_content(), "that the console is away")
    again = start_console("--port", str(first.port))
    assert again.port == first.port
    stamp = other.stamp
    wait_for(lambda: other.stamp != stamp, "pictures again", 40)
    other.page.wait_for_selector("#cover", state="hidden")
    other.close()


def test_a_wrong_token_shows_what_to_do_and_the_right_one_the_page(browser, start_console, console):
    token = "the-token-of-this-test"
    guarded = start_console("--host", "0.0.0.0", "--token", token)
    address = f"http://127.0.0.1:{guarded.port}/"
    wrong = Page(browser, f"{address}?token=wrong-wrong-wrong")
    assert wrong.response.status == 403 and "needs its token" in wrong.page.locator("body").text_content()
    wrong.close()
    right = Page(browser, f"{address}?token={token}")
    right.wait_for_picture()
    assert right.page.url == address
    right.page.reload()
    right.wait_for_picture()
    right.close()


def test_the_page_goes_on_when_the_node_was_started_again(shared, node, start_node, objects_dir):
    shared.click(90, 60)
    shared.wait_for_targets(1)
    node.stop()
    wait_for(lambda: shared.page.locator("#cover").is_visible(), "that the node is away", 40)
    words = shared.page.locator("#cover").text_content()
    assert "went away" in words or "not active" in words or "Looking for" in words
    start_node(*PARAMETERS, objects_dir)
    shared.page.wait_for_selector("#cover", state="hidden")
    stamp = shared.stamp
    wait_for(lambda: shared.stamp != stamp, "pictures again")
    shared.wait_for_targets(0)
    shared.click(90, 60)
    shared.wait_for_targets(1)
    wait_for_mask(shared, 90, 60, "a mask of the new node")
    assert shared.errors == []
