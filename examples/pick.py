#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A task planner's view: ask for "the red mug", wait until it is tracked, read where it is, let go."""

import sys

from seem_ros import SeemError
from seem_ros.ros.client import SeemClient

SURE = 0.8  # presence; what is half hidden, or may be another thing, is nothing to reach for


def pick(seem: SeemClient, what: str) -> str:
    """Where the object is, in words.

    Raises:
        SeemError: There is no node, it refused, or nothing was found surely.
    """
    found = seem.segment([what], track=True)
    target_id = found.target_ids[0]
    if not target_id:
        raise SeemError(f"{what}: {found.message}")
    target = seem.wait_for_target(target_id)
    seem.remove_targets([target_id])
    place = target.position if target.has_position else None
    pixel = f"pixel {target.centroid.x:.0f}, {target.centroid.y:.0f}"
    where = f"x {place.x:.3f}, y {place.y:.3f}, z {place.z:.3f} m" if place else pixel
    presence = min(found.by_prompt[0].presence, target.presence)  # by its name, and as what that name found
    if presence < SURE:
        raise SeemError(f"{target.label} at {where}: presence {presence:.2f}, {SURE:.2f} needed; ask again")
    return f"{target.label} is target {target_id} at {where}; presence {presence:.2f}"


if __name__ == "__main__":
    try:
        with SeemClient() as seem:
            print(pick(seem, sys.argv[1] if len(sys.argv) > 1 else "the red mug"))
    except SeemError as error:
        sys.exit(str(error))
