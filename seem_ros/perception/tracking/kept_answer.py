# SPDX-License-Identifier: Apache-2.0
"""A target's last answer, for pictures in which nothing has changed where it is: it need not be asked for again.

A camera on a stand sees most of its targets lie still. The model would answer there as it did before, but for the
noise of the camera; what it answered is used again, until anything moves near the target or some frames have passed.
The picture is compared with the one that was asked about, not with the last one, so that no slow change adds up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.runtime.interface import DecodeBatch

if TYPE_CHECKING:
    from seem_ros.perception.tracking.target import Look, Place

# So many targets are asked for at once in the largest decoder graph: groups of them take turns, so that not every
# answer runs out in the same frame. Fewer stay together, and share the encoding.
GROUP, TURNS = 16, 4
# Around the target's box, cells of the small picture: what moves nearer than that may be about to hide it.
MARGIN_CELLS = 2


@dataclass(frozen=True, eq=False)
class KeptAnswer:
    """What the model answered, and about what.

    Attributes:
        row: One row, as the model gave it.
        look: How it was asked.
        picture: uint8 [h4, w4, 3], the small picture that it was asked about.
        used: Further frames it was taken for, or counts as taken for.
    """

    row: DecodeBatch
    look: Look
    picture: np.ndarray
    used: int = 0

    def once_more(self) -> KeptAnswer:
        """The same, taken for one more frame."""
        return replace(self, used=self.used + 1)

    def holds(self, place: Place, picture: np.ndarray, config: TrackerConfig) -> bool:
        """Whether it is the answer for another picture, too.

        Args:
            place: Where the target was seen last.
            picture: uint8 [h4, w4, 3], the small picture now.
            config: ``still_difference`` and ``still_frames`` are read.
        """
        if self.used >= config.still_frames or picture.shape != self.picture.shape:
            return False
        x0, y0 = np.maximum(np.floor(place.box[:2] - MARGIN_CELLS), 0).astype(int)
        x1, y1 = np.ceil(place.box[2:] + MARGIN_CELLS).astype(int)
        change = cv2.absdiff(self.picture[y0:y1, x0:x1], picture[y0:y1, x0:x1])
        return bool(change.max(initial=0) < config.still_difference)


def frames_used(before: KeptAnswer | None, target_id: int, config: TrackerConfig) -> int:
    """What a new answer counts as used at its start, so that groups of targets go on in turns.

    Args:
        before: The answer that it replaces.
        target_id: Whose.
        config: ``still_frames`` is read.
    """
    ran_out = before is not None and before.used >= config.still_frames
    return 0 if ran_out else config.still_frames * (target_id // GROUP % TURNS) // TURNS
