# SPDX-License-Identifier: Apache-2.0
"""What people point at, mark and say in the console, in a real headless Chromium."""

import cv2
import numpy as np
from colour_backend import scene
from harness import wait_for
from one_camera import asked, calls, refined, wait_for_mask
from page import Page


def one_target_and_not_this(page):
    """Clicks on a thing, then beside it what it is not; how many rounds the log had before."""
    page.click(90, 60)
    page.wait_for_targets(1)
    before = page.page.locator("#calls strong", has_text="refine").count()
    page.click(70, 60, modifiers=["Shift"])
    refined(page, before + 1)
    return before


def test_a_click_starts_a_target_and_its_mask_lies_on_the_thing(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for_mask(page, 90, 60, "the mask on the thing")


def test_a_click_carries_the_stamp_of_the_picture_it_was_made_on(page, camera):
    page.click(30, 30)
    page.wait_for_targets(1)
    line = asked(page, "clicks: [{x: 30", "stamp: ")
    seconds, nanoseconds = (int(part) for part in line.split("stamp: {sec: ")[1].rstrip("}'").split(", nanosec: "))
    assert seconds * 10**9 + nanoseconds in camera.stamps_ns


def test_shift_and_the_right_button_say_not_this(page):
    before = one_target_and_not_this(page)
    page.click(110, 60, button="right")
    refined(page, before + 2)
    newest = calls(page)[:2]
    assert all("negative: true" in line and "/seem/refine" in line for line in newest)
    assert len(page.targets()) == 1


def test_not_this_without_a_target_says_so_and_calls_nothing(page):
    before = len(calls(page))
    page.click(60, 60, button="right")
    page.page.wait_for_selector(".toast.bad", state="attached")
    assert len(calls(page)) == before


def test_a_drag_is_a_box(page):
    page.drag((20, 60), (40, 80))
    page.wait_for_targets(1)
    asked(page, "boxes: [{x0: ")
    wait_for_mask(page, 30, 70, "the mask of the box")


def test_the_pen_is_a_scribble(page):
    page.page.click("#tool-pen")
    page.drag((84, 56), (94, 58), (88, 64))
    page.wait_for_targets(1)
    asked(page, "scribbles: [{points: [")
    wait_for_mask(page, 90, 60, "the mask under the stroke")


def test_words_find_a_thing_and_name_it(page):
    page.say("red")
    assert list(page.wait_for_targets(1).values()) == ["red"]
    wait_for_mask(page, 30, 30, "the mask of the words")
    assert page.page.input_value("#text") == ""


def test_words_that_find_nothing_say_so_and_stay_to_be_changed(page):
    for gathering in (False, True):
        if gathering:
            page.page.click("#collect")
            page.click(60, 20, button="right")
        before = len(calls(page))
        page.say("yellow")
        wait_for(lambda before=before: len(calls(page)) > before, "the call")
        toast = page.page.wait_for_selector(".toast.bad", state="attached")
        assert toast.text_content()
        assert page.targets() == {} and page.page.input_value("#text") == "yellow"
    assert "1 mark gathered" in page.page.locator("#pending").text_content()


def test_a_target_is_chosen_by_its_number_wherever_it_stands_in_the_list(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    page.say("red")
    gone, left = sorted(page.wait_for_targets(2))
    page.page.click(f"[aria-label='Remove target {gone}']")
    page.wait_for_targets(1)
    page.page.focus("#marks")
    page.page.keyboard.type(str(left))
    assert f"Marks correct {left} " in page.page.locator("#refining").text_content()
    page.page.keyboard.press("Escape")
    page.page.keyboard.type(str(gone))
    assert page.page.locator("#refining").is_hidden()


def test_the_vocabulary_is_offered_while_typing(page):
    options = "() => [...document.querySelectorAll('#names option')].map(option => option.value)"
    wait_for(lambda: {"red", "green", "blue", "grey"} <= set(page.page.evaluate(options)), "the vocabulary's names")


def test_a_frozen_picture_stays_and_a_click_on_it_is_followed_to_now(page, camera):
    page.page.click("#freeze")
    frozen = page.drawn()
    stamp = page.stamp
    wait_for(lambda: int(page.stamp) > int(stamp) + 300_000_000, "newer pictures behind the frozen one")
    assert np.array_equal(page.drawn(), frozen)
    assert page.page.locator("#age").text_content() == "Frozen"
    page.click(90, 60)
    page.wait_for_targets(1)
    page.page.click("#freeze")
    wait_for_mask(page, 90, 60, "the mask on newer pictures")


def test_a_picture_frozen_for_too_long_is_used_as_a_reference(page, camera):
    page.page.click("#freeze")
    count = len(camera.stamps_ns)
    wait_for(lambda: len(camera.stamps_ns) > count + 70, "the node's history to move on", 40)
    page.click(30, 70)
    page.wait_for_targets(1)
    asked(page, "which a shell line cannot carry")
    page.page.click("#freeze")
    wait_for_mask(page, 30, 70, "what looks like it")


def test_marks_and_words_are_gathered_and_asked_at_once(page):
    page.page.click("#collect")
    page.click(90, 60)
    page.click(60, 20, button="right")
    before = len(calls(page))
    page.page.fill("#text", "green")
    page.page.click("#find")
    page.wait_for_targets(1)
    asked(page, "text: green", "clicks: [{x: 90", "negative: true")
    assert len(calls(page)) == before + 1


def test_a_click_on_a_target_chooses_it_and_the_next_marks_correct_it(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for_mask(page, 90, 60, "the mask")
    before = page.page.locator("#calls strong", has_text="refine").count()
    page.click(90, 60)
    page.page.wait_for_selector("#refining", state="visible")
    page.click(88, 58)
    refined(page, before + 1)
    assert len(page.targets()) == 1
    page.page.click("#refining button")
    page.page.wait_for_selector("#refining", state="hidden")


def test_undo_takes_the_last_round_back(page):
    one_target_and_not_this(page)
    page.page.click("#undo")
    asked(page, "/seem/undo")
    assert "done" in page.page.locator("#calls li").first.text_content()
    page.page.keyboard.press("Control+z")
    wait_for(lambda: page.page.locator("#calls strong", has_text="undo").count() == 2, "the second undo")
    assert "refused" in page.page.locator("#calls li").first.text_content(), "the target's first round stays"


def test_a_target_is_taught_found_by_its_name_and_forgotten(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for_mask(page, 90, 60, "the mask")
    page.page.once("dialog", lambda dialog: dialog.accept("my square"))
    page.page.get_by_role("button", name="Teach").click()
    taught = page.page.locator("#objects li", has_text="my square")
    taught.wait_for()
    assert taught.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 8
    options = "() => [...document.querySelectorAll('#names option')].map(option => option.value)"
    assert page.page.evaluate(options)[0] == "my square"
    page.page.click("[aria-label^='Remove target']")
    page.wait_for_targets(0)
    page.say("my square")
    assert list(page.wait_for_targets(1).values()) == ["my square"]
    wait_for_mask(page, 90, 60, "the taught thing")
    page.page.get_by_role("button", name="Forget my square").click()
    page.page.wait_for_selector("#taught", state="hidden")


def test_a_reference_picture_is_chosen_marked_and_found(page):
    other = cv2.imencode(".png", scene({(64, 50): "blue"}, size=40)[:, :, ::-1])[1].tobytes()
    page.page.click("#show-reference")
    page.page.set_input_files("#reference-file", {"name": "blue.png", "mimeType": "image/png", "buffer": other})
    canvas = page.page.locator("#reference-picture")
    wait_for(
        lambda: canvas.evaluate("canvas => canvas.getContext('2d').getImageData(64, 50, 1, 1).data[2] > 180"), "it"
    )
    page.page.wait_for_selector("#reference[open]")
    wait_for(lambda: page.page.locator("#reference-find").is_disabled(), "nothing marked yet")
    canvas.click(trial=True)  # waits until it stands still: its dialogue grows when the picture has just come
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 64 / 128, "y": box["height"] * 50 / 96})
    page.page.click("#reference-find")
    page.wait_for_targets(1)
    wait_for_mask(page, 30, 70, "the blue one")


def test_the_keyboard_alone_marks_chooses_and_removes(page):
    page.page.focus("#marks")
    page.page.keyboard.press("ArrowRight")
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    for _ in range(3):
        page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")  # at 64 + 24, 48 + 12
    (target,) = page.wait_for_targets(1)
    before = page.page.locator("#calls strong", has_text="refine").count()
    page.page.keyboard.press("Shift+Enter")
    refined(page, before + 1)
    page.page.keyboard.type(str(target))
    page.page.wait_for_selector("#refining", state="visible")
    page.page.keyboard.press("Delete")
    page.wait_for_targets(0)
    page.page.keyboard.press("Space")
    assert page.page.locator("#freeze").get_attribute("aria-pressed") == "true"
    page.page.keyboard.press("Space")
    page.page.keyboard.press("/")
    assert page.page.evaluate("() => document.activeElement.id") == "text"
    assert target > 0


def test_touch_marks_and_a_long_press_says_not_this(browser, console, page):
    phone = Page(browser, console.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone.wait_for_picture()
    phone.page.touchscreen.tap(*phone.place(90, 60))
    phone.wait_for_targets(1)
    before = phone.page.locator("#calls strong", has_text="refine").count()
    x, y = phone.place(110, 60)
    session = phone.context.new_cdp_session(phone.page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    refined(phone, before + 1)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    asked(phone, "negative: true")
    phone.page.click("#negative")
    phone.page.touchscreen.tap(*phone.place(70, 60))
    refined(phone, before + 2)
    wide = phone.page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= 390
    assert phone.errors == []
    phone.close()
