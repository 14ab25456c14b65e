# SPDX-License-Identifier: Apache-2.0
"""The node's services. Everything is validated before anything is changed, and every call is answered in time."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterType, SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from seem_ros.errors import PromptError, SeemError, TargetError
from seem_ros.perception.prompting.vocabulary import never_trained_on
from seem_ros.perception.structures.frame import Frame
from seem_ros.ros.camera.pipeline import CameraPipeline, Found, segment_picture
from seem_ros.ros.messages.images import stamp_to_ns
from seem_ros.ros.messages.prompts import checked_label, picture_of, prompt_from_message, prompts_from_messages
from seem_ros.ros.messages.results import STATES, segments_to_message
from seem_ros.ros.objects import services as object_services
from seem_ros.ros.session import Running
from seem_ros.srv import (
    Forget,
    Objects,
    Refine,
    RemoveTargets,
    Rename,
    Segment,
    SetVocabulary,
    Teach,
    Undo,
)

# the default keeps ten calls: an eleventh at the same moment would be dropped without an answer
QUEUE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)

SERVICES: dict[str, tuple[type, str]] = {
    "segment": (Segment, "Find what is described, in a camera's frame or a picture of your own; track it if wanted."),
    "refine": (Refine, "Another round on a target: more clicks, boxes, strokes, words."),
    "undo": (Undo, "Take back the newest round on a target."),
    "rename": (Rename, "Give a target another name."),
    "remove_targets": (RemoveTargets, "Stop following some or all targets."),
    "set_vocabulary": (SetVocabulary, "The names for segments, and what the panoptic output looks for."),
    "teach": (Teach, "Remember a target, or what a prompt finds, by a name: text finds it from then on."),
    "objects": (Objects, "List the objects that were taught, with small pictures."),
    "forget": (Forget, "Forget an object that was taught, or some of its views."),
    "enable": (SetBool, "Process the cameras' frames, or let them pass; calls are answered either way."),
}


LONGEST_MESSAGE = 1000  # characters: an answer does not echo what was sent by the hundred kilobytes


def shortened(message: str) -> str:
    """A message for people, at most so long."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: LONGEST_MESSAGE - 60]} ... ({len(message):,} characters)"


def guard_parameter_services(node: Any) -> None:
    """Has rclpy's parameter services answer what they raise at: an unknown type number would escape the callback, leave
    the caller without an answer, and show as an internal error."""
    for service in list(node.services):
        if service.srv_type in (SetParameters, SetParametersAtomically):
            service.callback = _typed(service.callback)


def _typed(inner: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        unknown = [one for one in request.parameters if not 0 <= one.value.type <= ParameterType.PARAMETER_STRING_ARRAY]
        if not unknown:
            response = inner(request, response)
        else:
            first = unknown[0]
            reason = f"{first.name[:60]!r} has the unknown type number {first.value.type}; 0 to 9 are known"
            result = SetParametersResult(successful=False, reason=reason)
            if hasattr(response, "results"):
                response.results = [result] * len(request.parameters)
            else:
                response.result = result
        for result in response.results if hasattr(response, "results") else [response.result]:
            result.reason = shortened(result.reason)
        return response

    return answer


def guard_transitions(node: Any) -> None:
    """Has rclpy's service for transitions refuse what cannot be done from the current state: before Kilted it raises,
    and whoever asked waits in vain."""
    for service in list(node.services):
        if service.srv_type is ChangeState:
            service.callback = _refusing(service.callback, node.get_logger())


def _refusing(inner: Callable[[Any, Any], Any], logger: Any) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return inner(request, response)
        except rclpy_implementation.RCLError:
            asked = request.transition.label or request.transition.id
            logger.error(f"transition {asked} cannot be made from the current state")
            response.success = False
            return response

    return answer


class Services:
    """Creates the services and answers them.

    Args:
        node: The rclpy node.
        running: Gives the configured state, or None while the node is not active.
        set_vocabulary: Tells the node that the vocabulary was changed by a call.
        group: Callback group of the services.
    """

    def __init__(
        self, node: Any, running: Callable[[], Running | None], set_vocabulary: Callable[[str, str], None], group: Any
    ) -> None:
        self._node, self._running, self._set_vocabulary = node, running, set_vocabulary
        handlers = {
            "segment": self._segment,
            "refine": self._refine,
            "undo": self._undo,
            "rename": self._rename,
            "remove_targets": self._remove,
            "set_vocabulary": self._vocabulary,
            "teach": object_services.teach,
            "objects": object_services.objects,
            "forget": object_services.forget,
            "enable": self._enable,
        }
        for name, (kind, _) in SERVICES.items():
            node.create_service(
                kind, f"~/{name}", self._guarded(handlers[name]), qos_profile=QUEUE, callback_group=group
            )

    def _guarded(self, handler: Callable[[Running, Any, Any], None]) -> Callable[[Any, Any], Any]:
        """Nothing escapes: an exception in a callback would end the executor and leave the caller without an answer."""

        def answer(request: Any, response: Any) -> Any:
            response.success, response.message = False, ""
            try:
                running = self._running()
                if running is None:
                    raise SeemError("the node is not active; activate it (ros2 lifecycle set <node> activate)")
                handler(running, request, response)
                response.success = True
            except SeemError as error:
                response.message = str(error)
            except Exception as error:
                self._node.get_logger().error(f"internal error in a service:\n{traceback.format_exc()}")
                response.message = f"internal error: {type(error).__name__}: {error}"
            response.message = shortened(response.message)
            return response

        return answer

    # -------------------------------------------------------------------------------------------------- handlers

    def _segment(self, running: Running, request: Any, response: Any) -> None:
        if not request.prompts and not request.panoptic:
            raise PromptError("there is nothing to look for: give at least one prompt, or panoptic: true")
        if request.track and not request.prompts:
            raise PromptError("track needs at least one prompt; panoptic segments cannot be tracked")
        prompts = prompts_from_messages(request.prompts)
        labels = [checked_label(prompt.label) for prompt in request.prompts]
        picture = picture_of(request.image, request.compressed_image, "request")
        stamp_ns = stamp_to_ns(request.stamp)
        if stamp_ns < 0:
            raise PromptError(f"stamp must not be negative, got {request.stamp.sec} s")
        if picture is not None:
            if request.track or request.camera or stamp_ns:
                raise PromptError("a picture in the request goes with neither track, camera nor stamp")
            header = request.image.header if request.image.data else request.compressed_image.header
            found = running.call(lambda: self._on_picture(running, prompts, labels, request.panoptic, picture, header))
        elif request.track:
            pipeline = running.camera(request.camera)
            found = running.call(
                lambda: pipeline.start(prompts, labels, request.panoptic, stamp_ns),
                undo=lambda done: pipeline.remove(done.new_ids) if done.new_ids else None,
                timeout_s=running.wait_for_first_frame(pipeline),
            )
        else:
            pipeline = running.camera(request.camera)
            left_s = running.wait_for_first_frame(pipeline)
            found = running.call(
                lambda: pipeline.segment(prompts, labels, request.panoptic, stamp_ns), timeout_s=left_s
            )
        self._fill(running, response, found)
        response.segment_indices = _indices(found)
        response.target_ids = list(found.target_ids)

    @staticmethod
    def _on_picture(
        running: Running, prompts: Any, labels: list[str], panoptic: bool, picture: Any, header: Header
    ) -> Found:
        frame = Frame(picture, stamp_to_ns(header.stamp), header.frame_id)
        wide = running.settings.wide_labels
        segments = segment_picture(running.segmenter, prompts, labels, panoptic, frame, wide)
        return Found(segments, header, (0,) * len(prompts), message=segments.message)

    def _refine(self, running: Running, request: Any, response: Any) -> None:
        pipeline = running.camera_of(request.target_id)
        prompt, label = prompt_from_message(request.prompt), checked_label(request.prompt.label)
        stamp_ns = stamp_to_ns(request.stamp)
        found = running.call(lambda: pipeline.refine(request.target_id, prompt, label, stamp_ns), may_take_effect=True)
        self._fill_target(running, response, found, pipeline, request.target_id)

    def _undo(self, running: Running, request: Any, response: Any) -> None:
        pipeline = running.camera_of(request.target_id)

        def undo() -> tuple[Found, int]:
            return pipeline.undo(request.target_id), pipeline.rounds(request.target_id)

        found, response.rounds_left = running.call(undo, may_take_effect=True)
        self._fill_target(running, response, found, pipeline, request.target_id)

    def _rename(self, running: Running, request: Any, response: Any) -> None:
        pipeline, name = running.camera_of(request.target_id), checked_label(request.label)
        response.label = running.call(lambda: pipeline.rename(request.target_id, name), may_take_effect=True)

    def _remove(self, running: Running, request: Any, response: Any) -> None:
        ids = list(dict.fromkeys(request.target_ids))
        if request.all and ids:
            raise TargetError("all and target_ids exclude each other; leave one out")
        if not request.all and not ids:
            raise TargetError("which targets? give target_ids, or all: true")
        chosen: dict[CameraPipeline, list[int]] = {}
        if request.all:
            pipelines = [running.camera(request.camera)] if request.camera else list(running.cameras.values())
            chosen = {pipeline: [] for pipeline in pipelines}
        else:
            for target_id in ids:
                chosen.setdefault(running.camera_of(target_id, request.camera), []).append(target_id)

        def remove() -> list[int]:
            for pipeline, some in chosen.items():
                pipeline.check_targets(some)  # all are checked before the first is removed
            return [one for pipeline, some in chosen.items() if len(pipeline.targets) for one in pipeline.remove(some)]

        response.removed = sorted(running.call(remove, may_take_effect=True))
        response.remaining = sorted(
            target.target_id for pipeline in running.cameras.values() for target in pipeline.targets
        )
        response.message = f"removed {len(response.removed)}, {len(response.remaining)} remain"

    def _vocabulary(self, running: Running, request: Any, response: Any) -> None:
        things, stuff = list(request.things), list(request.stuff)
        unknown = running.call(lambda: running.set_vocabulary(things, stuff), may_take_effect=True)
        self._set_vocabulary(", ".join(things), ", ".join(stuff))
        response.things, response.stuff = running.vocabulary()
        response.message = never_trained_on(unknown) if unknown else ""

    def _enable(self, running: Running, request: Any, response: Any) -> None:
        running.enable(request.data)
        response.message = "enabled" if request.data else "disabled"

    def _fill_target(
        self, running: Running, response: Any, found: Found, pipeline: CameraPipeline, target_id: int
    ) -> None:
        self._fill(running, response, found)
        index = [segment.target_id for segment in found.segments]
        response.segment_index = index.index(target_id) if target_id in index else -1
        response.target_id = target_id
        state = next((one.state for one in pipeline.targets if one.target_id == target_id), None)
        response.state = STATES[state.value] if state is not None else 0

    @staticmethod
    def _fill(running: Running, response: Any, found: Found) -> None:
        response.result = segments_to_message(found.segments, found.header, running.settings.answer_labels)
        response.message = found.message


def _indices(found: Found) -> list[int]:
    values = [segment.value for segment in found.segments]
    return [
        values.index(answer.segment.value) if answer.segment is not None and answer.segment.value in values else -1
        for answer in found.segments.answers
    ]
