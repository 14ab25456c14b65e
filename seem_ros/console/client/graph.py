# SPDX-License-Identifier: Apache-2.0
"""Which segmentation nodes there are, and their cameras: read from the ROS graph and from /diagnostics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SEGMENT_TYPE = "seem_ros/srv/Segment"
SEGMENTS_TYPE = "seem_ros/msg/SegmentArray"
# diagnostics come once a second; what has been silent for longer is not there, or not active
SILENT_S = 4.0


@dataclass(frozen=True)
class CameraTopics:
    """One camera of a node.

    Attributes:
        name: As in the node's parameters.
        image_topic: What the node listens to, fully resolved; empty where it has not said so yet.
        segments_topic, targets_topic: What it publishes.
    """

    name: str
    image_topic: str
    segments_topic: str
    targets_topic: str


@dataclass(frozen=True)
class FoundNode:
    """One segmentation node.

    Attributes:
        name: Fully qualified, ``/seem``.
        services: Names of its services without the node's, with their types.
        cameras: Of the node; none while it is not active.
        active: Whether its diagnostics are heard.
    """

    name: str
    services: tuple[tuple[str, str], ...]
    cameras: tuple[CameraTopics, ...]
    active: bool

    def camera(self, name: str) -> CameraTopics | None:
        """A camera by its name; the first one for an empty name."""
        if not name:
            return self.cameras[0] if self.cameras else None
        return next((one for one in self.cameras if one.name == name), None)

    def plain(self) -> dict[str, Any]:
        """For the page."""
        return {
            "name": self.name,
            "active": self.active,
            "services": [name for name, _ in self.services],
            "cameras": [{"name": one.name, "image": one.image_topic} for one in self.cameras],
        }


def find_nodes(
    services: Iterable[tuple[str, list[str]]],
    topics: Iterable[tuple[str, list[str]]],
    statuses: Mapping[str, tuple[float, Any]],
    now_s: float,
) -> tuple[FoundNode, ...]:
    """The nodes, sorted by name.

    Args:
        services, topics: Names and types, as rclpy gives them.
        statuses: DiagnosticStatus and monotonic time of its arrival by its name.
        now_s: Monotonic time.
    """
    offered = [(name, kinds[0]) for name, kinds in services if kinds]
    published = {name for name, kinds in topics if SEGMENTS_TYPE in kinds}
    found = []
    for service, kind in offered:
        if kind != SEGMENT_TYPE or not service.endswith("/segment"):
            continue
        name = service.removesuffix("/segment")
        own = tuple(
            (other.removeprefix(f"{name}/"), its)
            for other, its in offered
            if other.startswith(f"{name}/") and "/" not in other.removeprefix(f"{name}/")
        )
        cameras = tuple(_cameras(name, published, statuses, now_s))
        active = now_s - statuses.get(f"{name.lstrip('/')}: model", (float("-inf"), None))[0] < SILENT_S
        found.append(FoundNode(name, tuple(sorted(own)), cameras, active))
    return tuple(sorted(found, key=lambda node: node.name))


def _cameras(
    node: str, published: set[str], statuses: Mapping[str, tuple[float, Any]], now_s: float
) -> Iterable[CameraTopics]:
    prefix = f"{node.lstrip('/')}: camera "
    for name, (arrived_s, status) in statuses.items():
        if not name.startswith(prefix) or now_s - arrived_s >= SILENT_S:
            continue
        camera = name.removeprefix(prefix)
        several = f"{node}/{camera}/segments" in published
        base = f"{node}/{camera}" if several else node
        topic = next((one.value for one in status.values if one.key == "image_topic"), "")
        yield CameraTopics(camera, topic, f"{base}/segments", f"{base}/targets")
