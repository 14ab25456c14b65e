# SPDX-License-Identifier: Apache-2.0
"""A node in its own process, and a client that publishes pictures to it and calls it over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seem_ros.ros.client.service_calls import ServiceCaller
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp
from seem_ros.tools.doctor import abandoned_ports

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0
ASK_AGAIN_S = 2.0
MS = 1_000_000
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The condition's first true value; fails the test with ``what`` when it does not come in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


def ports_left() -> list[Path]:
    """Fast DDS's shared memory ports of the tests' own domain whose owner is gone without having taken them down."""
    first = 7400 + 250 * int(os.environ["ROS_DOMAIN_ID"])  # DDSI-RTPS 2.2, section 9.6.1.1
    numbers = {port: int("".join(filter(str.isdigit, port.name))) for port in abandoned_ports(Path("/dev/shm"))}
    return [port for port, number in numbers.items() if first <= number < first + 250]


class NodeProcess:
    """The node as a user starts it: `ros2 run seem_ros seem --ros-args ...`, killed at the end at the latest."""

    def __init__(
        self,
        script: Path,
        *parameters: str,
        remaps: tuple[str, ...] = (),
        name: str = "seem",
        extra: tuple[str, ...] = (),
    ) -> None:
        arguments = [word for one in parameters for word in ("-p", one)]
        arguments += [word for one in remaps for word in ("-r", one)]
        self.name = name
        self.log_path = Path(os.environ["ROS_LOG_DIR"]) / f"node_{time.monotonic_ns()}.txt"
        self._log = self.log_path.open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(script), "--ros-args", "-r", f"__node:={name}", *arguments, *extra],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        weakref.finalize(self, self.process.kill)  # also where a fixture fails before it would stop it

    @property
    def log(self) -> str:
        """Everything it printed."""
        return self.log_path.read_text()

    def memory_mb(self) -> float:
        """Resident memory, megabytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self, how: int = signal.SIGINT) -> int:
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._log.close()
        return self.process.returncode


class Client:
    """A ROS node of the test: publishers, subscriptions that keep what came, and service calls with a time limit."""

    def __init__(self, name: str = "test_client") -> None:
        self._caller = ServiceCaller(None, "", WAIT_S, name, None)
        self.node = self._caller.node
        self._clients: dict[str, Any] = {}
        self._answered: set[Any] = set()

    def listen(self, kind: type, topic: str, qos: Any = RELIABLE) -> list[Any]:
        """A list that grows with every message of a topic."""
        received: list[Any] = []
        self.node.create_subscription(kind, topic, received.append, qos)
        return received

    def publisher(self, kind: type, topic: str, qos: Any = RELIABLE) -> Any:
        """A publisher."""
        return self.node.create_publisher(kind, topic, qos)

    def call(self, kind: type, service: str, request: Any, timeout_s: float = WAIT_S) -> Any:
        """The answer to a call; fails the test if there is none in time."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        assert client.wait_for_service(timeout_s), f"there is no service {service}"
        if client not in self._answered:
            # discovery goes both ways: a server that has not found this client yet cannot answer it, and the first
            # answer is lost. It is asked again, until one has come: of whichever asking, for an answer may take longer
            # than the pause between two.
            asked = [client.call_async(request)]
            ends = time.monotonic() + timeout_s
            again = time.monotonic() + ASK_AGAIN_S
            while not any(future.done() for future in asked) and time.monotonic() < ends:
                if time.monotonic() >= again:
                    asked.append(client.call_async(request))
                    again = time.monotonic() + ASK_AGAIN_S
                time.sleep(0.01)
            self._answered.add(client)
            future = next((one for one in asked if one.done()), asked[-1])
        else:
            future = client.call_async(request)
        return self.wait(future, f"an answer of {service}", timeout_s)

    def send(self, kind: type, service: str, request: Any) -> Any:
        """A future of a call."""
        if self._clients.get(service) not in self._answered:
            self.call(kind, service, kind.Request())  # an empty one is refused, and then answers arrive (see `call`)
        return self._clients[service].call_async(request)

    @staticmethod
    def wait(future: Any, what: str, timeout_s: float = WAIT_S) -> Any:
        """A future's result."""
        wait_for(future.done, what, timeout_s)
        return future.result()

    def close(self) -> None:
        """Take the node down."""
        self._caller.close()


class Camera:
    """Publishes pictures at a rate from a thread, with stamps that it counts itself."""

    def __init__(
        self,
        client: Client,
        topic: str,
        picture: Callable[[int], np.ndarray],
        rate_hz: float = 20.0,
        qos: Any = RELIABLE,
        kind: type = Image,
        convert: Callable[[np.ndarray, Header], Any] = array_to_image,
        frame_id: str = "optical",
        start_ns: int = 100_000_000_000,
    ) -> None:
        self.stamps_ns: list[int] = []
        self._publisher = client.publisher(kind, topic, qos)
        self._picture, self._convert, self._frame_id = picture, convert, frame_id
        self._period_s, self._start_ns, self._count = 1.0 / rate_hz, start_ns, 0
        self._running = threading.Event()
        self._running.set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            if self._running.is_set():
                self.publish_one()
            time.sleep(self._period_s)

    def publish_one(self) -> int:
        """Publish the next picture now; its stamp."""
        stamp_ns = self._start_ns + int(self._count * self._period_s * 1e9)
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=self._frame_id)
        self._publisher.publish(self._convert(self._picture(self._count), header))
        self._count += 1
        self.stamps_ns.append(stamp_ns)
        return stamp_ns

    def pause(self) -> None:
        """Stop publishing."""
        self._running.clear()
        time.sleep(2 * self._period_s)

    def resume(self) -> None:
        """Publish again."""
        self._running.set()

    def rewind(self, pictures: int | None = None) -> None:
        """Go so many stamps back, by default to the first one, as a bag that loops."""
        self._count = 0 if pictures is None else max(0, self._count - pictures)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._thread.join(5)


def down_and_up(client: Client, name: str) -> None:
    """Takes a node (``/seem``) through its life once: another session serves then."""
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert client.call(ChangeState, f"{name}/change_state", request, 60).success
