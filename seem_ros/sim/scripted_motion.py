# SPDX-License-Identifier: Apache-2.0
"""What happens in a clip: paths of the hand, knocks and falls, a drifting camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.ground_truth import RenderedFrame
from seem_ros.sim.world import World

#: From the finger tips up to the middle of the palm, which is what hides things.
_PALM_ABOVE_TIP_M = 0.105
_HIDING_SHARE = 0.36  # where on the way from the object to the camera the palm is held
_CLEARANCE_M = 0.22


@dataclass(frozen=True)
class Waypoint:
    """The finger tips are at tip_m (world frame) at time_s; in between the hand starts and stops softly."""

    time_s: float
    tip_m: tuple[float, float, float]
    pitch: float = np.pi


@dataclass(frozen=True)
class Event:
    """At time_s an object is knocked (velocity_m_s given) or, being held up, released."""

    time_s: float
    object_id: int
    velocity_m_s: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Story:
    """A clip's script.

    Attributes:
        waypoints: the hand's path, times rising; may be empty when there is no arm.
        events: knocks and falls.
        orbit_rad_s: how fast the camera walks around its target.
        hidden_id: the object that the hand hides for a while, if any.
    """

    waypoints: tuple[Waypoint, ...] = ()
    events: tuple[Event, ...] = ()
    orbit_rad_s: float = 0.0
    hidden_id: int | None = None

    def __post_init__(self) -> None:
        times = [point.time_s for point in self.waypoints]
        if times != sorted(times):
            raise DataError(f"the waypoints' times must rise, got {times}")


def hand_at(waypoints: tuple[Waypoint, ...], time_s: float) -> tuple[np.ndarray, float]:
    """Returns (tip float64 [3], pitch) of a path at a time, resting before its beginning and after its end."""
    times = [point.time_s for point in waypoints]
    index = int(np.clip(np.searchsorted(times, time_s, side="right"), 1, max(len(times) - 1, 1)))
    before, after = waypoints[index - 1], waypoints[min(index, len(times) - 1)]
    share = np.clip((time_s - before.time_s) / max(after.time_s - before.time_s, 1e-9), 0, 1)
    share = share * share * (3 - 2 * share)
    tip = (1 - share) * np.array(before.tip_m) + share * np.array(after.tip_m)
    return tip, (1 - share) * before.pitch + share * after.pitch


def play(world: World, story: Story, frames: int, rate_hz: float, *, first: bool = True) -> Iterator[RenderedFrame]:
    """Acts a story out and yields one frame per period, the first one before anything has moved.

    Args:
        world: a world at rest; story time 0 is now.
        story: the script.
        frames: how many frames.
        rate_hz: frames per second of simulated time.
        first: whether to begin with a frame of this very moment (not when another story has just ended).

    Raises:
        DataError: the frame count or the rate is out of range.
    """
    if frames < 1 or not 1 <= rate_hz <= 120:
        raise DataError(f"a clip has at least 1 frame at 1 to 120 per second, got {frames} at {rate_hz}")
    period, start = 1 / rate_hz, world.viewpoint
    pending = sorted(story.events, key=lambda event: event.time_s)
    for index in range(0 if first else 1, frames if first else frames + 1):
        if index:
            time_s = index * period
            while pending and pending[0].time_s <= time_s:
                event = pending.pop(0)
                if event.velocity_m_s is None:
                    world.release(event.object_id)
                else:
                    world.push(event.object_id, event.velocity_m_s)
            tip, pitch = hand_at(story.waypoints, time_s) if story.waypoints else (None, np.pi)
            world.step(period, tip, pitch)
            world.viewpoint = replace(start, azimuth=start.azimuth + story.orbit_rad_s * time_s)
        yield world.render()


def park_tip(world: World) -> tuple[float, float, float]:
    """Returns where the finger tips rest when the arm has nothing to do: high above its base."""
    base = np.array(world.scene.arm_base_m)
    return tuple(base + [0.0, -0.22, 0.52])


def hiding_path(
    world: World, object_id: int, start_s: float, hold_s: float, side: int, move_s: float = 0.6
) -> tuple[Waypoint, ...]:
    """Sweeps the palm across the camera's view of an object, holding it in front for a while.

    Args:
        world: for the camera and where the object stands now.
        object_id: what to hide.
        start_s: when the sweep begins at one side.
        hold_s: how long the palm stays in front.
        side: +1 comes from the picture's right, -1 from its left.
        move_s: seconds from the side to the middle.
    """
    target = world.position_m(object_id)
    palm = target + _HIDING_SHARE * (world.viewpoint.position_m - target)
    middle = palm - [0, 0, _PALM_ABOVE_TIP_M]
    aside = side * 0.30 * world.viewpoint.rotation[:, 0]
    return (
        Waypoint(start_s, tuple(middle + aside)),
        Waypoint(start_s + move_s, tuple(middle)),
        Waypoint(start_s + move_s + hold_s, tuple(middle)),
        Waypoint(start_s + 2 * move_s + hold_s, tuple(middle - aside)),
    )


def pushing_path(
    world: World, object_id: int, start_s: float, direction_xy: np.ndarray, length_m: float = 0.14, push_s: float = 0.8
) -> tuple[Waypoint, ...]:
    """Lowers the fingers beside an object and pushes it along a direction, then lifts them.

    Args:
        world: for where the object stands now.
        object_id: what to push.
        start_s: when the hand is above the starting place.
        direction_xy: float [2], any length.
        length_m: how far the object goes.
        push_s: seconds of pushing.
    """
    along = np.array([*direction_xy, 0.0]) / np.linalg.norm(direction_xy)
    where = world.position_m(object_id)
    where[2] = 0.02
    start = where - along * (world.extent_m(object_id) + 0.05)
    end = where + along * (length_m - world.extent_m(object_id) * 0.8)
    up = np.array([0, 0, _CLEARANCE_M])
    return (
        Waypoint(start_s, tuple(start + up)),
        Waypoint(start_s + 0.45, tuple(start)),
        Waypoint(start_s + 0.45 + push_s, tuple(end)),
        Waypoint(start_s + 0.9 + push_s, tuple(end + up)),
    )


def easiest_to_hide(world: World, frame: RenderedFrame, least_px: int = 120) -> int:
    """Returns the object that a palm hides most surely: small, well visible, in front of the arm's reach.

    Raises:
        DataError: no object is visible well enough.
    """
    area = np.bincount(frame.ids.ravel(), minlength=256)
    base = np.array(world.scene.arm_base_m[:2])
    fitting = [
        item.id
        for item in frame.instances
        if item.isthing and area[item.id] >= least_px and np.linalg.norm(world.position_m(item.id)[:2] - base) < 0.62
    ]
    if not fitting:
        raise DataError("no object of this scene is visible well enough to be hidden by the arm; take another seed")
    return min(fitting, key=lambda number: world.extent_m(number) + 0.02 * (area[number] < 2 * least_px))


def arm_story(world: World, frame: RenderedFrame, rng: np.random.Generator, seconds: float) -> Story:
    """Draws a clip's script: the arm hides one object, pushes another one, a third may be knocked; the camera drifts.

    Args:
        world: at rest.
        frame: what it looks like now.
        rng: draws sides, times and the pushed object.
        seconds: length of the clip, at least 3.5.

    Raises:
        DataError: too short, or nothing to hide.
    """
    if seconds < 3.5:
        raise DataError(f"this story needs at least 3.5 s, got {seconds:.2f}")
    hidden, side = easiest_to_hide(world, frame), 1 if rng.random() < 0.5 else -1
    hold = 0.45 + 0.15 * (seconds - 3.5)
    hide = hiding_path(world, hidden, 0.55, hold, side)
    rest = Waypoint(0.0, park_tip(world))
    others = [item.id for item in frame.instances if item.isthing and item.id != hidden]
    end = hide[-1].time_s
    points, events = [rest, *hide], []
    if others:
        pushed = others[int(rng.integers(len(others)))]
        along = world.viewpoint.rotation[:2, 0] * -side + rng.normal(0, 0.25, 2)
        points += pushing_path(world, pushed, end + 0.45, along)
        knocked = others[int(rng.integers(len(others)))]
        if rng.random() < 0.5:
            away = world.viewpoint.rotation[:2, 0] * side * rng.uniform(0.25, 0.6)
            events.append(Event(float(rng.uniform(0.3, seconds - 1)), knocked, (*away, 0.0)))
    points.append(Waypoint(points[-1].time_s + 0.6, park_tip(world)))
    return Story(tuple(points), tuple(events), float(rng.normal(0, 0.04)), hidden)
