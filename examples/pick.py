#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A task planner's view: ask for "the red mug", wait until it is tracked, read where it is, let go."""

import sys

import rclpy

from seem_ros.msg import Prompt, Target, TargetArray
from seem_ros.srv import RemoveTargets, Segment


def call(node, kind, name, request):
    """The answer of a service, or the end of the program."""
    client = node.create_client(kind, name)
    if not client.wait_for_service(10.0):
        sys.exit(f"nobody offers {name}")
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=10.0)
    if future.result() is None or not future.result().success:
        sys.exit(f"{name}: {future.result().message if future.result() else 'no answer'}")
    return future.result()


rclpy.init()
node, what = rclpy.create_node("planner"), sys.argv[1] if len(sys.argv) > 1 else "the red mug"
seen = {}
node.create_subscription(TargetArray, "/seem/targets", lambda m: seen.update((t.target_id, t) for t in m.targets), 1)

answer = call(node, Segment, "/seem/segment", Segment.Request(prompts=[Prompt(text=what)], track=True))
target_id = answer.target_ids[0]
if not target_id:
    sys.exit(f"{what}: {answer.message}")
while target_id not in seen or seen[target_id].state != Target.TRACKED:
    rclpy.spin_once(node)
mug = seen[target_id]
place = mug.position if mug.has_position else None
pixel = f"pixel {mug.centroid.x:.0f}, {mug.centroid.y:.0f}"
where = f"x {place.x:.3f}, y {place.y:.3f}, z {place.z:.3f} m" if place else pixel
print(f"{mug.label} is target {target_id} at {where}; presence {mug.presence:.2f}")
call(node, RemoveTargets, "/seem/remove_targets", RemoveTargets.Request(target_ids=[target_id]))
