# SPDX-License-Identifier: Apache-2.0
"""What all viewers share: the nodes that are there, one feed per camera that is looked at, and the log of calls."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from seem_ros.console.client.calls import Calls, PictureStore
from seem_ros.console.client.graph import FoundNode
from seem_ros.console.client.link import RosLink
from seem_ros.console.pictures.feed import CameraFeed, FeedSettings

if TYPE_CHECKING:
    from seem_ros.console.server.viewer import Viewer

LOOK_PERIOD_S = 1.0
# until the first node is found; a page opens faster than a node starts
HASTY_PERIOD_S = 0.2
# a page that is loaded again comes back within this
LINGER_S = 3.0
LEVELS = ("OK", "WARN", "ERROR", "STALE")


class Hub:
    """Belongs to the event loop.

    Args:
        link: The ROS side.
        settings: How pictures go out.
    """

    def __init__(self, link: RosLink, settings: FeedSettings) -> None:
        self.link, self._settings = link, settings
        self.nodes: tuple[FoundNode, ...] = ()
        self.viewers: set[Viewer] = set()
        self.pictures = PictureStore()
        self.calls = Calls(link, self.pictures, lambda entry: self._tell({"type": "call", "entry": entry}))
        self._feeds: dict[tuple[str, str], CameraFeed] = {}
        self._unwatched_s: dict[tuple[str, str], float] = {}
        # one picture at a time: the robot's other processors are for the robot
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._task = asyncio.get_running_loop().create_task(self._look_forever())

    async def _look_forever(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:  # a graph that changes while it is read is read again
                self._tell({"type": "notice", "message": f"internal error: {type(error).__name__}: {error}"})
            settled = self.nodes and all(camera.image_topic for node in self.nodes for camera in node.cameras)
            await asyncio.sleep(LOOK_PERIOD_S if settled else HASTY_PERIOD_S)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        nodes = await loop.run_in_executor(None, self.link.nodes)
        if nodes != self.nodes:
            self.nodes = nodes
            self._tell(self.graph())
        for viewer in self.viewers:
            viewer.tell(self.diagnostics(viewer.node))
        watched = {viewer.watched for viewer in self.viewers}
        now = time.monotonic()
        for key, feed in list(self._feeds.items()):
            camera = self._camera(*key)
            if camera is not None and camera != feed.camera:
                self._close(key)  # the node came back with other topics
                continue
            await loop.run_in_executor(None, feed.follow)
            if key in watched:
                self._unwatched_s.pop(key, None)
            elif now - self._unwatched_s.setdefault(key, now) > LINGER_S:
                self._close(key)
        for viewer in self.viewers:
            viewer.connect()

    def _camera(self, node: str, camera: str) -> Any:
        found = next((one for one in self.nodes if one.name == node), None)
        return found.camera(camera) if found is not None else None

    def feed(self, node: str, camera: str) -> CameraFeed | None:
        """The feed of a camera, opened where it is not yet; None while there is no such camera."""
        key = (node, camera)
        if key not in self._feeds:
            found = self._camera(node, camera)
            if found is None or not found.image_topic:
                return None

            def on_targets(message: dict[str, Any]) -> None:
                for viewer in self.viewers:
                    if viewer.watched == key:
                        viewer.tell({"type": "targets", "node": node, "camera": camera, **message})

            self._feeds[key] = CameraFeed(self.link, found, self._settings, self._pool, on_targets)
        return self._feeds[key]

    def _close(self, key: tuple[str, str]) -> None:
        self._unwatched_s.pop(key, None)
        self._feeds.pop(key).close()

    def graph(self) -> dict[str, Any]:
        """The nodes, for the page."""
        return {"type": "graph", "nodes": [node.plain() for node in self.nodes]}

    def diagnostics(self, node: str) -> dict[str, Any]:
        """What a node says about itself, for the page."""
        statuses = [
            {
                "name": status.name,
                "level": LEVELS[level] if 0 <= (level := _number(status.level)) < len(LEVELS) else "STALE",
                "message": status.message,
                "age_s": round(age_s, 1),
                "values": {one.key: one.value for one in status.values},
            }
            for age_s, status in sorted(
                self.link.statuses(node), key=lambda pair: (": camera" in pair[1].name, pair[1].name)
            )
        ]
        problems = [feed.problem for (its, _), feed in self._feeds.items() if its == node and feed.problem]
        return {"type": "diagnostics", "node": node, "statuses": statuses, "problems": problems}

    def _tell(self, message: dict[str, Any]) -> None:
        for viewer in self.viewers:
            viewer.tell(message)

    def close(self) -> None:
        """End everything; viewers end by themselves."""
        self._task.cancel()
        for key in list(self._feeds):
            self._close(key)
        self._pool.shutdown(wait=False, cancel_futures=True)


def _number(level: Any) -> int:
    """rclpy gives a byte as bytes."""
    return level[0] if isinstance(level, bytes) else int(level)
