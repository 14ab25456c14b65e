# SPDX-License-Identifier: Apache-2.0
"""A set of labels that people correct in the page: its most doubtful pictures, new outlines, and what is saved."""

from __future__ import annotations

import array
import base64
import binascii
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from seem_ros.console.client.link import RosLink
from seem_ros.console.client.message_values import check_text, fill
from seem_ros.errors import DataError, PromptError, SeemError
from seem_ros.labelling.correction import Correction, Opened
from seem_ros.labelling.label_set import LabelSet, rank
from seem_ros.msg import Prompt
from seem_ros.ros.messages.images import array_to_image, image_to_labels
from seem_ros.srv import Segment

#: So many pictures are offered: nobody looks at more in one sitting, and corrected ones leave the list.
MOST_SHOWN = 100
_PNG = "data:image/png;base64,"


class LabelDesk:
    """Opens and corrects the pictures of one set.

    Args:
        folder: Made by ``seem_ros.tools.label``.
        link: Asks the node for outlines.

    Raises:
        DataError: There is no such set.
    """

    def __init__(self, folder: Path, link: RosLink) -> None:
        self._labels, self._link = LabelSet(folder), link
        self._correction = Correction(self._labels)

    def ranked(self) -> dict[str, Any]:
        """The pictures that nobody has looked at, the most doubtful first, and how many there are."""
        items = [item for record in self._labels.records() for item in record["items"]]
        doubts = rank(items)
        shown = [{"file": one.file, "doubt": one.doubt, "why": one.why} for one in doubts[:MOST_SHOWN]]
        names = sorted({one["name"] for item in items for one in item["objects"]})
        return {"pictures": shown, "left": len(doubts), "all": len(items), "names": names}

    def picture(self, file: str) -> dict[str, Any]:
        """One picture, its ids and its objects.

        Raises:
            DataError: The set has no such picture.
        """
        opened = self._open(file)
        jpeg = cv2.imencode(".jpg", np.ascontiguousarray(opened.rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        objects = [{"id": one["id"], "name": one["name"]} for one in opened.item["objects"]]
        return {
            "file": file,
            "picture": f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}",
            "ids": _as_png(opened.ids),
            "objects": objects,
        }

    def _open(self, file: str) -> Opened:
        """A picture that the set lists: what comes from a browser is never tried as a path."""
        if all(file != item["file"] for record in self._labels.records() for item in record["items"]):
            raise DataError(f"the set has no picture {file[:80]!r}")
        return self._correction.open(file)

    async def outline(self, node: str, file: str, object_id: int, prompt: dict[str, Any]) -> dict[str, Any]:
        """What the node answers to marks on a picture of the set.

        Args:
            node: Fully qualified name of a node that is there.
            file: The picture.
            object_id: The object that is corrected, 0 = a new one. Where all marks say "not this", its outline is what
                they are taken from.
            prompt: Fields of a ``seem_ros/Prompt``.

        Returns:
            The mask as a PNG, and what the node said.

        Raises:
            SeemError: There is no such picture, the marks do not fit, or the node does not answer or refuses.
        """
        opened = self._open(file)
        request = Segment.Request(prompts=[fill(Prompt(), prompt, _no_picture, "prompt")])
        asked = request.prompts[0]
        before = opened.ids == object_id
        if object_id and before.any() and not asked.boxes and all(click.negative for click in asked.clicks):
            asked.mask = array_to_image(np.where(before, 255, 0).astype(np.uint8), Header(), "mono8")
        png = cv2.imencode(".png", np.ascontiguousarray(opened.rgb[..., ::-1]))[1].tobytes()
        request.compressed_image = CompressedImage(format="png", data=array.array("B", png))
        answer = await self._link.call(Segment, f"{node}/segment", request)
        if not answer.success:
            raise SeemError(answer.message)
        mask = np.zeros(before.shape, np.uint8)
        index = answer.segment_indices[0]
        if index >= 0:
            labels = image_to_labels(answer.result.labels)
            mask = np.where(labels == answer.result.segments[index].value, 255, 0).astype(np.uint8)
        return {"mask": _as_png(mask), "found": index >= 0, "message": answer.message}

    def save(self, file: str, action: str, object_id: int, name: str, mask: str) -> dict[str, Any]:
        """Saves a correction, and what is made of the whole set.

        Args:
            file: The picture.
            action: "outline" gives an object another outline (or adds one), "remove" takes it out, "right" says that
                the picture is right.
            object_id: The object, 0 = a new one.
            name: Of the object; "" keeps it.
            mask: Of "outline", a PNG as a data URL.

        Returns:
            The picture as it is now.

        Raises:
            SeemError: Something does not fit; nothing was saved.
        """
        check_text(name, "name")
        self._open(file)
        if action == "outline":
            self._correction.put(file, _from_png(mask), object_id or None, name.strip() or None)
        elif action == "remove":
            self._correction.take_out(file, object_id)
        elif action == "right":
            self._correction.confirm(file)
        else:
            raise PromptError(f"action is outline, remove or right, got {action[:40]!r}")
        self._labels.merge(self._labels.val_share)
        return self.picture(file)


def _no_picture(name: str) -> tuple[bytes, str]:
    raise PromptError("a correction is asked for by marks alone")


def _as_png(picture: np.ndarray) -> str:
    return _PNG + base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()


def _from_png(text: str) -> np.ndarray:
    """A mask bool [H, W]: where a PNG is not transparent, or, without transparency, not black."""
    try:
        data = base64.b64decode(text.removeprefix(_PNG), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PromptError("the mask is no PNG") from error
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data[:4] == b"\x89PNG" else None
    if picture is None:
        raise PromptError("the mask is no PNG")
    if picture.ndim == 2:
        return np.asarray(picture > 0)
    return np.asarray(picture[..., 3] > 127 if picture.shape[2] == 4 else picture.any(axis=2))
