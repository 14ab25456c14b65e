# SPDX-License-Identifier: Apache-2.0
"""Labels corrected in the page: opened by doubt, outlined anew, added, taken out, and saved into the same set."""

import json

import cv2
import numpy as np
import pytest
from colour_backend import scene
from harness import ROOT, wait_for
from page import Page, overlap

from seem_ros.labelling.label_set import CORRECTED_WEIGHT, LabelSet
from seem_ros.labelling.teacher import KeyFrame, Label
from seem_ros.perception.structures.frame import Frame

RED, GREEN, BLUE = (30, 30), (90, 60), (30, 70)
STILL = scene({RED: "red", GREEN: "green", BLUE: "blue"})


def square(at, grown=0):
    """Where the blob around a pixel is, or more than that."""
    mask = np.zeros(STILL.shape[:2], bool)
    mask[at[1] - 8 - grown : at[1] + 8 + grown, at[0] - 8 - grown : at[0] + 8 + grown] = True
    return mask


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Two pictures: one is sure, in the other the red thing's outline is too large and the blue one is called green."""
    made = LabelSet(tmp_path_factory.mktemp("labels") / "set", {"model": "a test"})
    good = KeyFrame(Frame(STILL), (Label(square(GREEN), "green", 1, 0.1),), ())
    wrong = (Label(square(RED, 5), "red", 1, 0.5), Label(square(BLUE), "green", 2, 0.4))
    made.add_source("clip", [("sure", good), ("doubtful", KeyFrame(Frame(STILL), wrong, ()))])
    made.merge(0.0)
    return made


@pytest.fixture(scope="module")
def page(browser, start_node, start_console, labels):
    start_node("call_timeout_s:=10.0")
    made = Page(browser, start_console("--labels", str(labels.folder)).url)
    made.page.click("#tab-labels")
    wait_for(lambda: made.page.locator("#status").text_content() == "/seem", "the node")
    yield made
    assert made.errors == []
    made.close()


def item(labels, name="doubtful"):
    index = json.loads((labels.folder / "index.json").read_text())
    return next(one for one in index["items"] if name in one["file"])


def mask_of(labels, number, name="doubtful"):
    return cv2.imread(str(labels.folder / item(labels, name)["mask"]), cv2.IMREAD_UNCHANGED) == number


def number_of(labels, name):
    return next((one["id"] for one in item(labels)["objects"] if one["name"] == name), 0)


def place(page, x, y):
    """Where on the screen a pixel of the labelled picture is."""
    box = page.page.locator("#label-picture").bounding_box()
    height, width = STILL.shape[:2]
    return box["x"] + (x + 0.5) * box["width"] / width, box["y"] + (y + 0.5) * box["height"] / height


def saved(page):
    page.page.click("#label-save")
    wait_for(lambda: page.page.locator("#label-said").text_content() == "Saved.", "the correction is saved")


def offered(page):
    page.page.wait_for_selector("#label-save:not([disabled])")


@pytest.fixture
def opened(page, labels):
    """The doubtful picture, in its dialogue."""
    if not page.page.locator("#label").is_visible():
        page.page.locator("#label-pictures button, #label-pictures li").first.wait_for()
        page.page.evaluate('file => document.querySelector(`[data-file="${file}"]`).click()', item(labels)["file"])
        page.page.wait_for_selector("#label[open]")
    return page


def test_the_most_doubtful_picture_stands_first(page):
    page.page.wait_for_selector("#label-pictures button")
    files = page.page.locator("#label-pictures button").all_text_contents()
    assert ["doubtful" in files[0], "sure" in files[1]] == [True, True]
    assert page.page.locator("#labels-left").text_content() == "2 of 2 are left."


def test_a_click_outlines_a_thing_anew_and_it_is_saved(opened, labels):
    number = number_of(labels, "red")
    assert overlap(mask_of(labels, number), square(RED)) < 0.5
    opened.page.click(f"#label-objects [data-object='{number}']")
    opened.page.mouse.click(*place(opened, *RED))
    offered(opened)
    opened.page.screenshot(path=ROOT / "out" / "console" / "labels.png")
    saved(opened)
    assert overlap(mask_of(labels, number), square(RED)) > 0.9
    assert item(labels)["weight"] == CORRECTED_WEIGHT and item(labels)["corrected"]
    wait_for(lambda: opened.page.locator("#labels-left").text_content() == "1 of 2 are left.", "a shorter list")


def test_a_thing_is_renamed(opened, labels):
    number = next(
        one["id"] for one in item(labels)["objects"] if overlap(mask_of(labels, one["id"]), square(BLUE)) > 0.9
    )
    opened.page.click(f"#label-objects [data-object='{number}']")
    opened.page.fill("#label-name", "blue")
    saved(opened)
    assert number_of(labels, "blue") == number and overlap(mask_of(labels, number), square(BLUE)) > 0.9


def test_a_missed_thing_is_added_by_a_box(opened, labels):
    opened.page.click("#label-objects [data-object='0']")
    x, y = GREEN
    opened.page.mouse.move(*place(opened, x - 10, y - 10))
    opened.page.mouse.down()
    opened.page.mouse.move(*place(opened, x + 10, y + 10), steps=3)
    opened.page.mouse.up()
    wait_for(lambda: opened.page.locator("#label-said").text_content() == "Save, or mark more.", "an outline")
    assert opened.page.locator("#label-save").is_disabled()  # it has no name yet
    opened.page.fill("#label-name", "green")
    saved(opened)
    assert overlap(mask_of(labels, number_of(labels, "green")), square(GREEN)) > 0.9


def test_what_is_painted_is_saved_as_it_was_painted(opened, labels):
    opened.page.click(f"#label-objects [data-object='{number_of(labels, 'red')}']")
    before = mask_of(labels, number_of(labels, "red"))
    opened.page.click("#label-paint")
    opened.page.mouse.move(*place(opened, 60, 20))
    opened.page.mouse.down()
    opened.page.mouse.move(*place(opened, 70, 20), steps=10)
    opened.page.mouse.up()
    opened.page.click("#label-paint")
    saved(opened)
    after = mask_of(labels, number_of(labels, "red"))
    assert (after & before).sum() == before.sum() and after[20, 61:70].all() and not after[40, 60:70].any()


def test_keys_do_nothing_to_the_cameras_picture_behind_the_dialogue(opened):
    opened.page.focus("#label-paint")
    for key in ("d", "n", "c", "r", "s", "Delete", "Control+z"):
        opened.page.keyboard.press(key)
    assert opened.page.get_attribute("#tool-point", "aria-checked") == "true"
    assert [opened.page.get_attribute(f"#{name}", "aria-pressed") for name in ("negative", "collect")] == ["false"] * 2
    assert opened.page.locator("#reference").is_hidden() and opened.page.locator(".toast").count() == 0


def test_a_finger_says_not_this_and_wipes(browser, opened, labels):
    phone = Page(browser, opened.page.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    asked = []
    phone.page.on("request", lambda request: asked.append(request.post_data or ""))
    phone.page.tap("#tab-labels")
    wait_for(lambda: phone.page.locator("#status").text_content() == "/seem", "the node")
    phone.page.tap(f"[data-file='{item(labels, 'sure')['file']}']")
    phone.page.wait_for_selector("#label[open]")
    number = item(labels, "sure")["objects"][0]["id"]
    phone.page.tap(f"#label-objects [data-object='{number}']")
    phone.page.touchscreen.tap(*place(phone, *GREEN))
    offered(phone)
    phone.page.tap("#label-negative")
    phone.page.touchscreen.tap(*place(phone, *RED))
    wait_for(
        lambda: any('"negative":true' in body.replace(" ", "") for body in asked), "what is not meant, in the call"
    )
    wait_for(lambda: phone.page.locator("#label-said").text_content() == "Save, or mark more.", "an outline")
    phone.page.tap("#label-paint")
    assert mask_of(labels, number, "sure")[GREEN[1], GREEN[0]]
    phone.page.touchscreen.tap(*place(phone, *GREEN))
    saved(phone)
    assert not mask_of(labels, number, "sure")[GREEN[1], GREEN[0]]
    assert phone.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert phone.errors == []
    phone.close()


def test_a_thing_is_taken_out_and_the_picture_is_all_right(opened, labels):
    opened.page.click(f"#label-objects [data-object='{number_of(labels, 'blue')}']")
    opened.page.click("#label-remove")
    wait_for(lambda: not number_of(labels, "blue"), "it is out")
    opened.page.click("#label-right")
    opened.page.wait_for_selector("#label", state="hidden")
    assert [one["name"] for one in item(labels)["objects"]] == ["red", "green"]


def test_without_labels_there_is_no_such_panel_and_foreign_files_are_refused(browser, page, start_console, labels):
    plain = start_console()
    assert json.loads(plain.request("/api/labels")[1]) == {"pictures": None}
    body = {"file": "x", "action": "right", "object": 0, "name": "", "mask": ""}
    assert plain.request("/api/labels/correct", body)[0] == 400
    own = page.page.url.rstrip("/")
    for file in ("../index.json", "/etc/passwd", "sources/../labelling.json", "\0", "long" * 1000):
        answer = page.page.request.get(f"{own}/api/labels", params={"file": file})
        assert answer.status == 400 and "has no picture" in answer.json()["message"]
    for values in ({"action": "outline", "mask": "no PNG"}, {"action": "explode"}, {"action": "remove", "object": 99}):
        answer = page.page.request.post(
            f"{own}/api/labels/correct", data={**body, "file": item(labels)["file"], **values}
        )
        assert answer.status == 400
