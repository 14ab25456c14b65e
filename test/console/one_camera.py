# SPDX-License-Identifier: Apache-2.0
"""What the browser tests with one camera share: its pictures, and how its page's log of calls is read."""

import cv2
import numpy as np
from colour_backend import scene
from harness import wait_for
from page import overlap

from seem_ros.console.pictures.wire import to_jpeg

BLOBS = {(30, 30): "red", (90, 60): "green", (30, 70): "blue"}
STILL = scene(BLOBS)
# as it looks without masks: JPEG blurs colours at edges
SHOWN = cv2.imdecode(np.frombuffer(to_jpeg(STILL, 80, 1280), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
PARAMETERS = ("camera_timeout_s:=1.0", "history_frames:=60", "call_timeout_s:=10.0")


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


def wait_for_mask(page, x, y, what):
    """Until a mask is painted on the blob around a pixel.

    In yellow, for a target's own colour comes from its number, and on a thing of that colour only its border shows.
    """
    for swatch in page.page.locator("#targets .swatch").all():
        swatch.fill("#ffff00")
    wait_for(lambda: overlap(page.coloured(SHOWN)[16:], square(x, y)[16:]) > 0.8, what)
