# SPDX-License-Identifier: Apache-2.0
"""The story of `make demo`: somebody asks for things on a table in every way there is, and an arm gets in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from std_msgs.msg import Header

from seem_ros.action import Find
from seem_ros.datasets.recorded_clip import Shot
from seem_ros.demo.stage import Player, Stage
from seem_ros.msg import Box, Click, Prompt, Reference
from seem_ros.ros.messages.images import array_to_image
from seem_ros.srv import Refine, RemoveTargets, Segment, Teach

RED_MUG, CYLINDER, BOWL, CONE, BOTTLE = 1, 2, 4, 5, 7  # ids in the clip's truth
REFERENCE_FRAME = 150
REMOVE_AT, ASK_AT = 110, 172
FIND_S = 300.0  # a slow machine plays the clip for minutes


@dataclass
class Cast:
    """Who is followed.

    Attributes:
        names: What was asked for, by target id.
        truth: Object of the clip's truth, by target id.
        since, until: Frame numbers of its life, by target id.
    """

    names: dict[int, str] = field(default_factory=dict)
    truth: dict[int, int] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)
    until: dict[int, int] = field(default_factory=dict)


def play_story(stage: Stage, player: Player, shots: list[Shot], say: Callable[[str], None]) -> Cast:
    """Plays the whole clip and asks for things on the way.

    Args:
        stage: The node.
        player: Waits on the first picture.
        shots: The clip, for where a user would click.
        say: Takes the lines that a planner would print.
    """
    cast = Cast()
    first = shots[0]

    def start(name: str, prompt: Prompt, true_id: int = 0, **more: object) -> int:
        answer = stage.call(Segment, "segment", Segment.Request(prompts=[prompt], track=True, **more))
        target_id = answer.target_ids[0] if answer.success else 0
        if target_id:
            seen = answer.result.segments[answer.segment_indices[0]] if answer.segment_indices[0] >= 0 else None
            place = f"{seen.area} px around ({seen.centroid.x:.0f}, {seen.centroid.y:.0f})" if seen else "not seen now"
            note = f"; {answer.message}" if answer.message else ""
            say(f"{name:<34} -> target {target_id}, {place}{note}")
            cast.names[target_id], cast.since[target_id] = name, max(player.index, 0)
            if true_id:
                cast.truth[target_id] = true_id
        else:
            say(f"{name:<34} -> {answer.message}")
        return target_id

    def refine(target_id: int, name: str, prompt: Prompt) -> None:
        answer = stage.call(Refine, "refine", Refine.Request(target_id=target_id, prompt=prompt))
        area = answer.result.segments[answer.segment_index].area if answer.success and answer.segment_index >= 0 else 0
        say(f"{name:<34} -> target {target_id}, {area} px" if answer.success else f"{name:<34} -> {answer.message}")

    start('text "the red mug"', Prompt(text="the red mug"), RED_MUG)
    x, y = middle(first, CYLINDER)
    cylinder = start(f"click ({x:.0f}, {y:.0f})", Prompt(clicks=[Click(x=x, y=y)], label="this cylinder"), CYLINDER)
    start("box around the bowl", Prompt(boxes=[box_of(first, BOWL)], label="boxed bowl"), BOWL)
    x, y = middle(first, CONE)
    cone = start(f"click ({x:.0f}, {y:.0f})", Prompt(clicks=[Click(x=x, y=y)], label="clicked cone"), CONE)
    if cone:
        outside = box_of(first, CONE)
        click = Click(x=min(outside.x1 + 6.0, first.ids.shape[1] - 1.0), y=outside.y1, negative=True)
        refine(cone, "  refine: not this (negative click)", Prompt(clicks=[click]))
    later = shots[min(REFERENCE_FRAME, len(shots) - 1)]
    picture = array_to_image(later.rgb, Header())
    bottle = start(
        "one like in this reference picture",
        Prompt(
            reference=Reference(image=picture, boxes=[box_of(later, BOTTLE)]),
            label="like the picture",
        ),
        BOTTLE,
    )
    start('text "the purple plate"', Prompt(text="the purple plate"))

    if bottle:
        answer = stage.call(Teach, "teach", Teach.Request(name="my bottle", target_id=bottle))
        say(f"{f'teach target {bottle} as my bottle':<34} -> {answer.message}")
    seen = threading.Event()

    def found(result: Find.Result) -> None:
        if result.success:
            target_id = result.target.target_id
            cast.names[target_id], cast.since[target_id] = "waited for", max(player.index, 0)
            say(f"{'the green box is seen':<34} -> target {target_id}, after {result.frames_looked_at} pictures")
        else:
            say(f"waiting for the green box: {result.message}")
        seen.set()

    say('waiting for "the green box", which is not there yet')
    stage.find(Prompt(text="the green box"), FIND_S, found)
    say("the arm moves in")
    player.play(until=REMOVE_AT)
    player.wait_for(REMOVE_AT)
    if bottle:
        answer = stage.call(RemoveTargets, "remove_targets", RemoveTargets.Request(target_ids=[bottle]))
        cast.until[bottle] = player.index
        say(f"remove target {bottle}: {answer.message}")
    if cylinder:
        x, y = middle(shots[player.index], CYLINDER)
        refine(cylinder, "  refine: here it is (click)", Prompt(clicks=[Click(x=x, y=y)]))
    player.play(until=ASK_AT)
    player.wait_for(ASK_AT)
    seen.wait(FIND_S)
    start('text "my bottle", as it was taught', Prompt(text="my bottle"))
    player.play()
    player.join()
    return cast


def middle(shot: Shot, true_id: int) -> tuple[float, float]:
    """The pixel of an object that is farthest from its outline: where a person would click."""
    import cv2

    distance = cv2.distanceTransform((shot.ids == true_id).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(column), float(row)


def box_of(shot: Shot, true_id: int) -> Box:
    """The box of an object, as a person would draw it."""
    rows, columns = np.nonzero(shot.ids == true_id)
    return Box(x0=float(columns.min()), y0=float(rows.min()), x1=float(columns.max() + 1), y1=float(rows.max() + 1))
