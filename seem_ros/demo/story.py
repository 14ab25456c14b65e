# SPDX-License-Identifier: Apache-2.0
"""The story of `make demo`: somebody asks for things on a table in every way there is, and an arm gets in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from std_msgs.msg import Header

from seem_ros.datasets.recorded_clip import Shot
from seem_ros.demo.stage import Player, Stage
from seem_ros.errors import ServiceError
from seem_ros.msg import Box, Click, Prompt, Reference
from seem_ros.ros.client import FindReply
from seem_ros.ros.messages.images import array_to_image

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

    def start(name: str, prompt: Prompt, true_id: int = 0) -> int:
        try:
            answer = stage.client.segment([prompt], track=True)
        except ServiceError as refused:
            say(f"{name:<34} -> {refused}")
            return 0
        (target_id,), (seen,) = answer.target_ids, answer.by_prompt
        if not target_id:
            say(f"{name:<34} -> {answer.message}")
            return 0
        x, y = seen.centroid_xy_px if seen else (0.0, 0.0)
        place = f"{seen.area_px} px around ({x:.0f}, {y:.0f})" if seen else "not seen now"
        if seen and seen.position_m is not None:
            where = ", ".join(f"{metres:.2f}" for metres in seen.position_m)
            place += f", ({where}) m in frame {answer.segments.position_frame}"
        note = f"; {answer.message}" if answer.message else ""
        say(f"{name:<34} -> target {target_id}, {place}{note}")
        cast.names[target_id], cast.since[target_id] = name, max(player.index, 0)
        if true_id:
            cast.truth[target_id] = true_id
        return target_id

    def told(name: str, ask: Callable[[], str]) -> None:
        try:
            said = ask()
        except ServiceError as refused:
            said = str(refused)
        say(f"{name:<34} -> {said}")

    def refine(target_id: int, name: str, prompt: Prompt) -> None:
        def ask() -> str:
            segment = stage.client.refine(target_id, prompt).segment
            return f"target {target_id}, {segment.area_px if segment else 0} px"

        told(name, ask)

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

        def teach() -> str:
            known = stage.client.teach("my bottle", bottle)
            return f"{known.name!r} is remembered by {len(known.taught_ns)} view"

        told(f"teach target {bottle} as my bottle", teach)
    seen = threading.Event()

    def found(ended: Future[FindReply]) -> None:
        error = ended.exception()
        reply = None if error else ended.result()
        if reply is None:
            say(f"waiting for the green box: {error}")
        elif reply.target is None:
            say(f"waiting for the green box: {reply.message}")
        else:
            target_id = reply.target.target_id
            cast.names[target_id], cast.since[target_id] = "waited for", max(player.index, 0)
            at = reply.target.centroid
            say(
                f"{'the green box is seen':<34} -> target {target_id}, around ({at.x:.0f}, {at.y:.0f}), "
                f"after {reply.frames_looked_at} pictures"
            )
        seen.set()

    say('waiting for "the green box", which is not there yet')
    stage.client.find_async("the green box", FIND_S).future.add_done_callback(found)
    say("the arm moves in")
    player.play(until=REMOVE_AT)
    player.wait_for(REMOVE_AT)
    if bottle:
        told(f"remove target {bottle}", lambda: f"removed {len(stage.client.remove_targets([bottle]).removed)}")
        cast.until[bottle] = player.index
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
