# SPDX-License-Identifier: Apache-2.0
"""The console as people meet it: a real headless Chromium, a real node over the colour model, a real camera."""

import json
import zipfile

import cv2
import numpy as np
import pytest
from colour_backend import scene
from harness import Camera, wait_for
from page import Page, overlap

from seem_ros.console.pictures.wire import to_jpeg
from seem_ros.srv import RemoveTargets

BLOBS = {(30, 30): "red", (90, 60): "green", (30, 70): "blue"}
STILL = scene(BLOBS)
# as it looks without masks: JPEG blurs colours at edges
SHOWN = cv2.imdecode(np.frombuffer(to_jpeg(STILL, 80, 1280), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
CLOCK = (slice(0, 8), slice(0, 128))


def square(x, y):
    """Where the blob around a pixel is."""
    mask = np.zeros(STILL.shape[:2], bool)
    mask[y - 8 : y + 8, x - 8 : x + 8] = True
    return mask


def ticking(index):
    """Still but for a bar that moves along the top: pictures are seen to move."""
    picture = STILL.copy()
    picture[0:4, 3 * (index % 40) : 3 * (index % 40) + 8] = 250
    return picture


PARAMETERS = ("camera_timeout_s:=1.0", "history_frames:=60", "call_timeout_s:=10.0")


@pytest.fixture(scope="module")
def objects_dir(tmp_path_factory):
    return f"objects_dir:={tmp_path_factory.mktemp('objects')}"


@pytest.fixture(scope="module")
def node(start_node, objects_dir):
    return start_node(*PARAMETERS, objects_dir)


@pytest.fixture(scope="module")
def camera(client, node):
    made = Camera(client, "image", ticking, rate_hz=10)
    yield made
    made.close()


@pytest.fixture(scope="module")
def console(camera, start_console):
    return start_console()


@pytest.fixture(scope="module")
def shared(browser, console):
    """One page for the module: opening one for each test would take most of the time."""
    made = Page(browser, console.url)
    made.wait_for_picture()
    yield made
    made.close()


@pytest.fixture
def page(shared, client, camera):
    """The page without targets, marks and modes."""
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


def refined(page, count):
    """How many rounds the log of calls has."""
    wait_for(lambda: page.page.locator("#calls strong", has_text="refine").count() >= count, f"{count} refinements")


def calls(page):
    """The shell lines of the log, newest first."""
    return page.page.locator("#calls code").all_text_contents()


def asked(page, *words):
    """The newest line of the log, once it has these words: calls are logged when they are answered."""
    wait_for(
        lambda: calls(page) and all(word in calls(page)[0] for word in words),
        f"a call with {words}, the newest is {calls(page)[:1]}",
    )
    return calls(page)[0]


def test_it_opens_and_shows_moving_pictures(page):
    assert page.page.title() == "SEEM console"
    first = page.stamp
    wait_for(lambda: page.stamp != first, "another picture")
    seen = page.drawn()
    wait_for(lambda: np.abs(page.drawn()[CLOCK].astype(int) - seen[CLOCK]).max() > 60, "a picture that moves")
    assert np.abs(seen[16:].astype(int) - STILL[16:]).mean() < 6


def test_a_click_starts_a_target_and_its_mask_lies_on_the_thing(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask on the thing")


def test_a_click_carries_the_stamp_of_the_picture_it_was_made_on(page, camera):
    page.click(30, 30)
    page.wait_for_targets(1)
    line = asked(page, "clicks: [{x: 30", "stamp: ")
    seconds, nanoseconds = (int(part) for part in line.split("stamp: {sec: ")[1].rstrip("}'").split(", nanosec: "))
    assert seconds * 10**9 + nanoseconds in camera.stamps_ns


def test_hovering_lights_a_target_up(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask")
    lit = page.drawn()[60, 90].astype(int)  # the pointer is still where it clicked
    page.page.mouse.move(*page.place(10, 88))
    wait_for(lambda: np.abs(page.drawn()[60, 90] - lit).max() > 6, "a mask that is not lit any more")
    page.page.mouse.move(*page.place(90, 60))
    wait_for(lambda: np.abs(page.drawn()[60, 90] - lit).max() <= 3, "a mask that is lit again")


def test_a_targets_colour_can_be_changed_at_once(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask")
    page.page.locator("#targets .swatch").fill("#ff00ff")
    wait_for(lambda: page.drawn()[60, 90, 0] > 100 and page.drawn()[60, 90, 2] > 90, "the mask in its new colour")


def test_shift_and_the_right_button_say_not_this(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    before = page.page.locator("#calls strong", has_text="refine").count()
    page.click(70, 60, modifiers=["Shift"])
    refined(page, before + 1)
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
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(30, 70)[16:]) > 0.8, "the mask of the box")


def test_the_pen_is_a_scribble(page):
    page.page.click("#tool-pen")
    page.drag((84, 56), (94, 58), (88, 64))
    page.wait_for_targets(1)
    asked(page, "scribbles: [{points: [")
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask under the stroke")


def test_words_find_a_thing_and_name_it(page):
    page.say("red")
    assert list(page.wait_for_targets(1).values()) == ["red"]
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(30, 30)[16:]) > 0.8, "the mask of the words")


def test_words_that_find_nothing_say_so(page):
    page.say("yellow")
    toast = page.page.wait_for_selector(".toast.bad", state="attached")
    assert toast.text_content()
    assert page.targets() == {}


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
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask on newer pictures")


def test_a_picture_frozen_for_too_long_is_used_as_a_reference(page, camera):
    page.page.click("#freeze")
    count = len(camera.stamps_ns)
    wait_for(lambda: len(camera.stamps_ns) > count + 70, "the node's history to move on", 40)
    page.click(30, 70)
    page.wait_for_targets(1)
    asked(page, "which a shell line cannot carry")
    page.page.click("#freeze")
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(30, 70)[16:]) > 0.8, "what looks like it")


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
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask")
    before = page.page.locator("#calls strong", has_text="refine").count()
    page.click(90, 60)
    page.page.wait_for_selector("#refining", state="visible")
    page.click(88, 58)
    refined(page, before + 1)
    assert len(page.targets()) == 1
    page.page.click("#refining button")
    page.page.wait_for_selector("#refining", state="hidden")


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


def test_undo_takes_the_last_round_back(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    before = page.page.locator("#calls strong", has_text="refine").count()
    page.click(70, 60, modifiers=["Shift"])
    refined(page, before + 1)
    page.page.click("#undo")
    asked(page, "/seem/undo")
    assert "done" in page.page.locator("#calls li").first.text_content()
    page.page.keyboard.press("Control+z")
    wait_for(lambda: page.page.locator("#calls strong", has_text="undo").count() == 2, "the second undo")
    assert "refused" in page.page.locator("#calls li").first.text_content(), "the target's first round stays"


def test_a_target_is_taught_found_by_its_name_and_forgotten(page):
    page.click(90, 60)
    page.wait_for_targets(1)
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask")
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
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the taught thing")
    page.page.get_by_role("button", name="Forget my square").click()
    page.page.wait_for_selector("#taught", state="hidden")


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
    # a target's colour comes from its number and may be blue, which hardly shows on a blue thing
    page.page.locator("#targets .swatch").fill("#ffff00")
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(30, 70)[16:]) > 0.8, "the blue one")


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
    page.page.keyboard.press("1")
    page.page.wait_for_selector("#refining", state="visible")
    page.page.keyboard.press("Delete")
    page.wait_for_targets(0)
    page.page.keyboard.press("Space")
    assert page.page.locator("#freeze").get_attribute("aria-pressed") == "true"
    page.page.keyboard.press("Space")
    page.page.keyboard.press("/")
    assert page.page.evaluate("() => document.activeElement.id") == "text"
    assert target > 0


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
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask")
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
    wait_for(lambda: overlap(other.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "the mask in the other browser")
    assert asked(other, "clicks: [{x: 90") == asked(page, "clicks: [{x: 90")
    other.page.click(f"[aria-label='Remove target {target}']")
    page.wait_for_targets(0)
    other.close()


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
    wait_for(lambda: overlap(shared.coloured(SHOWN)[16:], square(90, 60)[16:]) > 0.8, "a mask of the new node")
    assert shared.errors == []
