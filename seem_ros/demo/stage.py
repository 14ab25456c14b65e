# SPDX-License-Identifier: Apache-2.0
"""The node in its own process, a camera that plays pictures to it, and a client that asks and listens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from seem_ros.datasets.recorded_clip import Shot
from seem_ros.errors import BackendError, SeemError
from seem_ros.msg import SegmentArray, TargetArray
from seem_ros.perception.structures.frame import Intrinsics
from seem_ros.perception.structures.segments import Segments
from seem_ros.ros.client import SeemClient
from seem_ros.ros.discovery import let_large_images_through, stay_on_this_machine
from seem_ros.ros.executor import spin
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp, stamp_to_ns
from seem_ros.ros.messages.results import segments_from_message
from seem_ros.ros.tabletop_camera_node import camera_info, camera_place
from seem_ros.ros.transforms.broadcaster import BROADCAST
from seem_ros.ros.transforms.listener import TFMessage

ROOT = Path(__file__).resolve().parents[2]
CAMERA = "demo_camera_optical_frame"
ALL = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
START_S = 90.0


@dataclass(frozen=True, eq=False)
class CameraPicture:
    """What a camera sends.

    Attributes:
        rgb: uint8 [H, W, 3].
        depth_m: float32 [H, W] metres, or None.
        world_from_camera: float64 [4, 4], from the camera's optical frame, metres, or None.
    """

    rgb: np.ndarray
    depth_m: np.ndarray | None = None
    world_from_camera: np.ndarray | None = None

    @classmethod
    def of(cls, shot: Shot) -> CameraPicture:
        """What a clip knows of a frame."""
        return cls(shot.rgb, shot.depth_m, shot.world_from_camera)


class Stage:
    """Everything between the story and ROS. Use as a context manager.

    Args:
        parameters: Of the node, ``name:=value``.
        log: File that takes what the node prints.
        on_state: Told about every change of a target's state: id, label, new state.

    Attributes:
        client: Asks the node; a call ends with a `BackendError` where the node has ended.
    """

    def __init__(self, parameters: list[str], log: Path, on_state: Callable[[int, str, int], None]) -> None:
        stay_on_this_machine(101 + os.getpid() % 100)
        let_large_images_through()
        os.environ.setdefault("ROS_LOG_DIR", str(log.parent / "ros_log"))
        self._log_path, self._log = log, log.open("w")
        words = [word for one in parameters for word in ("-p", one)]
        remaps = [word for name in ("image", "depth", "camera_info") for word in ("-r", f"{name}:=/demo/{name}")]
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "seem"), "--ros-args", *words, *remaps],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        # rclpy's own handlers would swallow a SIGTERM and leave this process, and the node, behind
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self._node = rclpy.create_node("demo")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=spin, args=(self._executor, self._node), daemon=True)
        self._image = self._node.create_publisher(Image, "/demo/image", 1)
        self._info = self._node.create_publisher(CameraInfo, "/demo/camera_info", 1)
        self._depth = self._node.create_publisher(Image, "/demo/depth", 1)
        self._places = None if TFMessage is None else self._node.create_publisher(TFMessage, "/tf", BROADCAST)
        self._segments: dict[int, Segments] = {}
        self._latencies_s: list[float] = []
        self._sent_s: dict[int, float] = {}
        self._count = 0
        self._lock = threading.Lock()
        self.keep = True
        self._states: dict[int, int] = {}
        self._on_state = on_state
        self._node.create_subscription(SegmentArray, "/seem/segments", self._on_segments, ALL)
        self._node.create_subscription(TargetArray, "/seem/targets", self._on_targets, ALL)
        self._thread.start()
        self.client = SeemClient(self._node, timeout_s=START_S, while_waiting=self.check)

    def _on_segments(self, msg: SegmentArray) -> None:
        stamp_ns, now = stamp_to_ns(msg.header.stamp), time.monotonic()
        segments = segments_from_message(msg)
        with self._lock:
            self._count += 1
            if stamp_ns in self._sent_s:
                self._latencies_s.append(now - self._sent_s[stamp_ns])
            if self.keep:
                self._segments[stamp_ns] = segments

    def _on_targets(self, msg: TargetArray) -> None:
        for target in msg.targets:
            if self._states.get(target.target_id) != target.state:
                self._states[target.target_id] = target.state
                self._on_state(target.target_id, target.label, target.state)

    def show(self, picture: CameraPicture, stamp_ns: int, lens: Intrinsics | None = None) -> None:
        """Publish a picture, and before it what is known of it: calibration, place of the camera, depth."""
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=CAMERA)
        if lens is not None:
            self._info.publish(camera_info(header, picture.rgb.shape[0], picture.rgb.shape[1], lens))
        if self._places is not None and picture.world_from_camera is not None:
            self._places.publish(TFMessage(transforms=[camera_place(header, picture.world_from_camera)]))
        if picture.depth_m is not None:
            self._depth.publish(array_to_image(picture.depth_m, header, "32FC1"))
        message = array_to_image(picture.rgb, header)
        with self._lock:
            self._sent_s[stamp_ns] = time.monotonic()
            while len(self._sent_s) > 500:
                del self._sent_s[next(iter(self._sent_s))]
        self._image.publish(message)

    def _until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            self.check()
            if time.monotonic() > end:
                raise BackendError(f"no {what} within {timeout_s:g} s; the node said:\n{self.log_tail()}")
            time.sleep(0.002)

    def wait_until_hearing(self) -> None:
        """Wait until the node listens to the camera, and we to the node.

        Raises:
            BackendError: It ended, or never did.
        """
        self._until(lambda: self._image.get_subscription_count() > 0, "camera subscription", START_S)
        self._until(lambda: self._node.count_publishers("/seem/segments") > 0, "publisher of segments", START_S)

    def segments(self) -> dict[int, Segments]:
        """All segments published so far, by stamp."""
        with self._lock:
            return dict(self._segments)

    def quiet(self) -> None:
        """Tell no more about states."""
        self._on_state = lambda *_: None

    def has(self, stamp_ns: int) -> bool:
        """Whether a result of this stamp has arrived."""
        with self._lock:
            return stamp_ns in self._segments

    def check(self) -> None:
        """Make sure that the node lives.

        Raises:
            BackendError: It ended.
        """
        if self._process.poll() is not None:
            raise BackendError(f"the node ended ({self._process.returncode}):\n{self.log_tail()}")

    def count(self) -> int:
        """Results since the last `forget`."""
        return self._count

    def latencies_s(self) -> list[float]:
        """From the publication of an image to the arrival of its segments, since the last `forget`."""
        with self._lock:
            return list(self._latencies_s)

    def forget(self) -> None:
        """Drop all results so far, and keep only numbers from now on: for measurements that go on for long."""
        with self._lock:
            self.keep = False
            self._segments.clear()
            self._latencies_s.clear()
            self._count = 0

    def node_memory_mb(self) -> tuple[float, float]:
        """Memory of the node's process; see `memory_mb`."""
        return memory_mb(self._process.pid)

    def node_cpu_s(self) -> float:
        """Processor time that the node's process has used, seconds."""
        return cpu_s(self._process.pid)

    def log_tail(self) -> str:
        """The last lines that the node printed."""
        return "\n".join(self._log_path.read_text().splitlines()[-12:])

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.client.close()
        self._executor.shutdown(timeout_sec=2)
        rclpy.try_shutdown()
        self._thread.join(5)
        self._node.destroy_node()
        self._log.close()


def memory_mb(pid: int) -> tuple[float, float]:
    """Memory of a process, megabytes: all that is resident, and its own part of that.

    Its own part leaves out pages of files (libraries, weights), which the system drops and reads again as it likes.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kb = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in lines)
        if name in ("VmRSS", "RssAnon", "RssShmem", "VmSwap")
    }
    return kb["VmRSS"] * 1.024e-3, (kb["RssAnon"] + kb["RssShmem"] + kb["VmSwap"]) * 1.024e-3


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Player(threading.Thread):
    """Shows pictures at their rate; stays on the picture where it is told to wait, while time goes on.

    With ``patience_s`` the next picture waits for the result of the last one, so that a slow machine sees every
    picture. Stamps go on at the nominal rate all the same.

    Args:
        stage: Where to show them.
        pictures: All of one size; may be endless.
        rate_hz: Pictures per second.
        lens: Calibration to publish, or None.
        keep: Remember which picture was shown at which stamp.
        patience_s: How long a picture's result is waited for; 0 = a camera does not wait.
    """

    def __init__(
        self,
        stage: Stage,
        pictures: Iterable[CameraPicture],
        rate_hz: float,
        lens: Intrinsics | None = None,
        keep: bool = True,
        patience_s: float = 0.0,
    ) -> None:
        super().__init__(daemon=True)
        self._stage, self._pictures, self._rate_hz, self._lens = stage, iter(pictures), rate_hz, lens
        self._hold_at: int | None = 0
        self._keep, self._patience_s = keep, patience_s
        self._stopped = False
        self.index = -1
        self.shown: dict[int, tuple[int, np.ndarray]] = {}
        self.error: SeemError | None = None

    def play(self, until: int | None = None) -> None:
        """Go on, and wait again at a picture; None = to the end."""
        self._hold_at = until

    def wait_for(self, index: int) -> bool:
        """Block until a picture is shown; False when the pictures ended before."""
        while self.index < index and self.is_alive():
            time.sleep(0.005)
        return self.index >= index

    def stop(self) -> None:
        """Show nothing more."""
        self._stopped = True
        self.join(5)

    def run(self) -> None:
        """The thread."""
        begin, tick, picture = time.monotonic(), 0, None
        start_ns = time.time_ns()
        try:
            while not self._stopped:
                held = self._hold_at is not None and self.index >= self._hold_at
                if picture is None or not held:
                    picture = next(self._pictures, None)
                    if picture is None:
                        return
                    self.index += 1
                stamp_ns = start_ns + round(tick * 1e9 / self._rate_hz)
                if self._keep:
                    self.shown[stamp_ns] = (self.index, picture.rgb)
                self._stage.show(picture, stamp_ns, self._lens)
                tick += 1
                self._wait(stamp_ns, begin + tick / self._rate_hz)
                begin = max(begin, time.monotonic() - tick / self._rate_hz)
        except SeemError as error:
            self.error = error

    def _wait(self, stamp_ns: int, next_s: float) -> None:
        end = time.monotonic() + self._patience_s
        while not self._stopped and time.monotonic() < end and not self._stage.has(stamp_ns):
            time.sleep(0.002)
        time.sleep(max(0.0, next_s - time.monotonic()))
