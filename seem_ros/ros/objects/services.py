# SPDX-License-Identifier: Apache-2.0
"""Answers of the services that teach, list and forget objects."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from seem_ros.errors import PromptError
from seem_ros.msg import RememberedObject
from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.taught import TaughtObject, TaughtView, check_name
from seem_ros.perception.structures.frame import Frame
from seem_ros.perception.structures.prompts import Prompt
from seem_ros.ros.messages.images import array_to_jpeg, ns_to_stamp, stamp_to_ns
from seem_ros.ros.messages.prompts import picture_of, prompt_from_message, says_nothing
from seem_ros.ros.objects.lesson import view_of_prompt
from seem_ros.ros.session import Running

THUMBNAIL_PX = 96
JPEG_QUALITY = 80


def teach(running: Running, request: Any, response: Any) -> None:
    """Remember a view of a target, of what a prompt finds on a frame, or on a picture of the caller's.

    Raises:
        SeemError: The request contradicts itself, nothing was found, or it cannot be kept; nothing was changed.
    """
    name = check_name(request.name)
    prompt = _prompt(request.prompt)
    picture = picture_of(request.image, request.compressed_image, "request")
    stamp_ns = stamp_to_ns(request.stamp)
    if bool(request.target_id) == (prompt is not None):
        raise PromptError("teach takes either a target_id or a prompt that says what is meant")
    if stamp_ns < 0:
        raise PromptError(f"stamp must not be negative, got {request.stamp.sec} s")
    if picture is not None and (request.target_id or request.camera or stamp_ns):
        raise PromptError("a picture in the request goes with neither target_id, camera nor stamp")
    if request.target_id and stamp_ns:
        raise PromptError("a target is remembered as it is seen now: leave the stamp out")

    if prompt is None:
        pipeline = running.camera_of(request.target_id, request.camera)

        def look() -> TaughtView:
            return pipeline.view_of_target(request.target_id)
    elif picture is not None:

        def look() -> TaughtView:
            return view_of_prompt(running.segmenter, prompt, Frame(picture))
    else:
        pipeline = running.camera(request.camera)

        def look() -> TaughtView:
            return pipeline.view_of_prompt(prompt, stamp_ns)

    taught = running.call(lambda: _memory(running).teach(name, look(), request.replace), may_take_effect=True)
    response.object = object_to_message(taught, pictures=True)
    count = len(taught.views)
    response.message = f"{taught.name!r} is remembered by {count} {'view' if count == 1 else 'views'}"


def objects(running: Running, request: Any, response: Any) -> None:
    """List what is remembered."""
    known = running.call(lambda: _memory(running).objects())
    response.objects = [object_to_message(one, not request.names_only) for one in known]
    response.message = f"{len(known)} {'object is' if len(known) == 1 else 'objects are'} remembered"


def forget(running: Running, request: Any, response: Any) -> None:
    """Forget an object or some of its views.

    Raises:
        SeemError: There is no such object or view, or the disk does not let it go.
    """
    views = tuple(request.views)
    left = running.call(lambda: _memory(running).forget(request.name, views), may_take_effect=True)
    response.remaining = list(left)
    what = f"{len(set(views))} of the views of {request.name!r}" if views else repr(request.name)
    response.message = f"{what} forgotten, {len(left)} {'object' if len(left) == 1 else 'objects'} remain"


def object_to_message(taught: TaughtObject, pictures: bool) -> RememberedObject:
    """An object, with small pictures of its views where wanted."""
    return RememberedObject(
        name=taught.name,
        taught=[ns_to_stamp(view.taught_ns) for view in taught.views],
        thumbnails=[_thumbnail(view) for view in taught.views] if pictures else [],
    )


def _thumbnail(view: TaughtView) -> CompressedImage:
    return array_to_jpeg(view.thumbnail(THUMBNAIL_PX), Header(stamp=ns_to_stamp(view.taught_ns)), JPEG_QUALITY)


def _memory(running: Running) -> ObjectMemory:
    memory = running.segmenter.objects
    if memory is None:
        memory = running.segmenter.objects = ObjectMemory()
    return memory


def _prompt(msg: Any) -> Prompt | None:
    """The request's prompt, None where it was left out."""
    return None if says_nothing(msg) else prompt_from_message(msg)
