# SPDX-License-Identifier: Apache-2.0
"""Says once that a camera sends nothing, and once that it is back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# A driver may take as long to start; somebody who mistyped the topic should not wait longer for a word.
FIRST_AFTER_S = 5.0
MOST_TOPICS = 12


def image_topics(node: Any) -> list[str]:
    """The image topics that others publish, as people read them; the node's own results are left out."""
    own = f"{node.get_fully_qualified_name()}/"
    return sorted(
        name
        for name, kinds in node.get_topic_names_and_types()
        if set(kinds) & set(IMAGE_TYPES) and not name.startswith(own) and node.count_publishers(name)
    )


class SilenceWatch:
    """Of one camera.

    Args:
        node: The rclpy node.
        camera: The camera's name.
        age_s: Gives the age of the newest picture; None before the first.
        is_still: Whether there was one picture only: it is not missed.
        describe: Says what is listened to.
    """

    def __init__(
        self,
        node: Any,
        camera: str,
        age_s: Callable[[], float | None],
        is_still: Callable[[], bool],
        describe: Callable[[], str],
    ) -> None:
        self._node, self._camera = node, camera
        self._age_s, self._is_still, self._describe = age_s, is_still, describe
        self._begin_s = time.monotonic()
        self._silent = False

    def watch(self, timeout_s: float) -> None:
        """Look at the camera; called regularly.

        Args:
            timeout_s: Age of the newest picture from which the camera counts as gone.
        """
        age_s, logger = self._age_s(), self._node.get_logger()
        if age_s is None:
            if not self._silent and time.monotonic() - self._begin_s > max(FIRST_AFTER_S, timeout_s):
                self._silent = True
                logger.warning(f"camera {self._camera}: no picture has come yet; {self._describe()}; {self._others()}")
        elif age_s <= timeout_s:
            if self._silent:
                logger.info(f"camera {self._camera}: pictures come (again)")
            self._silent = False
        elif not self._silent and not self._is_still():
            self._silent = True
            logger.warning(f"camera {self._camera}: no picture for {age_s:.1f} s; {self._describe()}; {self._others()}")

    def _others(self) -> str:
        topics = image_topics(self._node)
        if not topics:
            return "nobody publishes any image topic"
        more = f" and {len(topics) - MOST_TOPICS} more" if len(topics) > MOST_TOPICS else ""
        return f"image topics that exist: {', '.join(topics[:MOST_TOPICS])}{more}"
