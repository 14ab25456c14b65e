# SPDX-License-Identifier: Apache-2.0
"""A page of the console in a real browser, handled as a person does: by pointer, keys and what is to be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import wait_for

PATIENCE_MS = 30_000


class Page:
    """One page.

    Args:
        browser: Of playwright.
        url: Of the console.
        context: Options of the browser's context: viewport, touch.
    """

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        context.setdefault("viewport", {"width": 1280, "height": 800})
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.response = self.page.goto(url)

    def wait_for_picture(self) -> None:
        """Until the first picture is drawn."""
        self.page.wait_for_selector("#stage[data-stamp]")
        self.page.wait_for_selector("#cover", state="hidden")

    @property
    def stamp(self) -> str:
        """Of the picture that is shown."""
        return self.page.locator("#stage").get_attribute("data-stamp") or ""

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a pixel of the camera's picture is."""
        box = self.page.locator("#marks").bounding_box()
        width, height = self.size()
        return box["x"] + (x + 0.5) * box["width"] / width, box["y"] + (y + 0.5) * box["height"] / height

    def size(self) -> tuple[int, int]:
        """Width and height of the picture as it is drawn."""
        return tuple(
            self.page.evaluate("() => { const c = document.getElementById('picture'); return [c.width, c.height]; }")
        )

    def click(self, x: float, y: float, **how: Any) -> None:
        """Click on a pixel of the picture."""
        modifiers = how.pop("modifiers", ())
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.place(x, y), **how)
        for key in modifiers:
            self.page.keyboard.up(key)

    def drag(self, *pixels: tuple[float, float]) -> None:
        """Press, move through the pixels, let go."""
        self.page.mouse.move(*self.place(*pixels[0]))
        self.page.mouse.down()
        for pixel in pixels[1:]:
            self.page.mouse.move(*self.place(*pixel), steps=4)
        self.page.mouse.up()

    def say(self, text: str) -> None:
        """Type words and press Enter."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def targets(self) -> dict[int, str]:
        """Ids and names in the list."""
        rows = self.page.evaluate(
            "() => [...document.querySelectorAll('#targets li')].map("
            "row => [row.dataset.target, row.querySelector('.name').value])"
        )
        return {int(target): name for target, name in rows}

    def wait_for_targets(self, count: int) -> dict[int, str]:
        """The list once it has so many."""
        wait_for(lambda: len(self.targets()) == count, f"{count} targets in the page", 30)
        return self.targets()

    def drawn(self) -> np.ndarray:
        """The picture with its masks as it is on the screen, uint8 [H, W, 3]."""
        width, height = self.size()
        canvas = self.page.locator("#picture")
        data = canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
        return np.array(data, np.uint8).reshape(height, width, 4)[:, :, :3]

    def coloured(self, plain: np.ndarray) -> np.ndarray:
        """Where the page has painted over a picture that went through the same JPEG, bool [H, W]."""
        return np.abs(self.drawn().astype(int) - plain).max(axis=2) > 12

    def close(self) -> None:
        """Close the page."""
        self.context.close()


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / max((one | other).sum(), 1))
