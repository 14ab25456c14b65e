# SPDX-License-Identifier: Apache-2.0
"""The node as a target: services, topics, parameters and lifecycle, called as rclpy calls them."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
import rclpy
from colour_backend import ColourBackend, scene
from hostile import Dice, integer, message, number, pick, text
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seem_ros.perception.segmenter import Segmenter
from seem_ros.ros.executor import spin
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp
from seem_ros.ros.node import SeemNode
from seem_ros.ros.parameters import table

TYPES = {bool: 1, int: 2, float: 3, str: 4, list: 9}
LONGEST_MESSAGE = 4000
LONGEST_CALL_S = 20.0  # call_timeout_s is 2; on a machine that does much else an answer may take longer


class Log:
    """Keeps what the node says at error level."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, line: str, **_: Any) -> bool:
        """An error."""
        self.errors.append(line)
        return True

    fatal = error

    def info(self, line: str, **_: Any) -> bool:
        """Not kept."""
        return True

    warning = warn = debug = info


class NodeTarget:
    """A node over the colour model with a camera that never stops."""

    def __init__(self) -> None:
        os.environ.setdefault("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.log = Log()
        rclpy.init(args=["--ros-args", "--log-level", "fatal"])
        self.node = SeemNode(lambda settings: Segmenter(ColourBackend(), settings.segmenter_config()))
        self.node.get_logger = lambda: self.log
        self.set(call_timeout_s=2.0, watchdog_s=0.0)
        self.node.trigger_configure()
        self.node.trigger_activate()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._spinner = threading.Thread(target=spin, args=(self._executor, self.node), daemon=True)
        self._spinner.start()
        self._stamp_ns, self._stop = 10**11, threading.Event()
        self._camera = threading.Thread(target=self._show, daemon=True)
        self._camera.start()
        self.seen = 0

    def set(self, **values: Any) -> None:
        """Set parameters."""
        self.node.set_parameters_atomically([rclpy.parameter.Parameter(k, value=v) for k, v in values.items()])

    def _show(self) -> None:
        index = 0
        while not self._stop.wait(0.02):
            running = self.node._running
            if running is not None:
                size = (96, 128) if index % 50 else (60 + index % 7, 90)
                picture = scene({(30 + index % 20, 30): "red", (90, 60): "green"})[: size[0], : size[1]]
                self._stamp_ns += 20_000_000
                header = Header(stamp=ns_to_stamp(self._stamp_ns), frame_id="optical")
                for pipeline in list(running.cameras.values()):
                    pipeline.on_image(array_to_image(np.ascontiguousarray(picture), header))
                running.thread.wake()
            index += 1

    def check(self) -> None:
        """Nothing internal went wrong."""
        broken = [line for line in self.log.errors[self.seen :] if "internal error" in line]
        self.seen = len(self.log.errors)
        assert not broken, broken[0]

    def call(self, service: Any, request: Any) -> Any:
        """Call as rclpy does, through the wire's bytes both ways."""
        request = deserialize_message(serialize_message(request), type(request))
        begin = time.monotonic()
        response = service.callback(request, service.srv_type.Response())
        took_s = time.monotonic() - begin
        serialize_message(response)
        assert took_s < LONGEST_CALL_S, f"{service.srv_name} took {took_s:.1f} s"
        return response

    def close(self) -> None:
        """End it within its two seconds."""
        self._stop.set()
        begin = time.monotonic()
        self.node.close()
        assert time.monotonic() - begin < 10
        self._camera.join(5)
        self._executor.shutdown(timeout_sec=2)
        rclpy.try_shutdown()
        self._spinner.join(5)


class ServiceTarget(NodeTarget):
    """Calls of every service of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.services = [one for one in self.node.services if one.srv_type.__module__.startswith("seem_ros")]
        assert len(self.services) >= 4

    def one(self, rng: Dice) -> str:
        """A call."""
        service = pick(rng, self.services)
        response = self.call(service, message(service.srv_type.Request, rng))
        said = str(getattr(response, "message", ""))
        assert "internal error" not in said, said
        assert len(said) < LONGEST_MESSAGE, f"a message of {len(said)} characters"
        self.check()
        return f"{service.srv_name.rsplit('/', 1)[1]} {'answered' if response.success else 'refused'}"


class TopicTarget(NodeTarget):
    """Messages on every topic that the node listens to, and pictures."""

    def one(self, rng: Dice) -> str:
        """A message."""
        ours = [
            one for one in self.node.subscriptions if not one.topic_name.startswith(("/parameter_events", "/clock"))
        ]
        running = self.node._running
        if not ours or rng.random() < 0.6:
            kind, deliver, name = Image, next(iter(running.cameras.values())).on_image, "image"
        else:
            chosen = pick(rng, ours)
            kind, deliver, name = chosen.msg_type, chosen.callback, chosen.topic_name
        made = message(kind, rng) if kind is not Image else _image(rng)
        deliver(deserialize_message(serialize_message(made), kind))
        running.thread.wake()
        if rng.random() < 0.05:  # what has come is looked at
            end = time.monotonic() + LONGEST_CALL_S
            while any(camera.has_frame() for camera in running.cameras.values()) and time.monotonic() < end:
                time.sleep(0.002)
        self.check()
        return name


def _image(rng: Dice) -> Any:
    from hostile import picture

    return picture(rng, Image)


class ParameterTarget(NodeTarget):
    """Parameters of any name, type and size."""

    def __init__(self) -> None:
        super().__init__()
        self.setters = [one for one in self.node.services if one.srv_type in (SetParameters, SetParametersAtomically)]
        self.rows = [row for row in table() if row.name not in ("call_timeout_s", "watchdog_s")]

    def one(self, rng: Dice) -> str:
        """A call that sets some."""
        parameters = []
        for _ in range(int(rng.integers(1, 4))):
            row = pick(rng, self.rows)
            value = ParameterValue(
                type=TYPES[type(row.default)]
                if rng.random() >= rng.wild
                else int(rng.integers(256 if rng.wild > 0.1 else 10)),
                bool_value=bool(rng.integers(2)),
                integer_value=integer(rng, True, 64) if rng.random() < 0.5 else int(rng.integers(-2, 300)),
                double_value=number(rng) if rng.random() < 0.5 else float(rng.uniform(0, 1)),
                string_value=text(rng) if rng.random() < 0.97 else "x" * 100_000,
                string_array_value=[text(rng) for _ in range(int(rng.integers(0, 4)))],
                double_array_value=[number(rng)],
            )
            name = row.name if rng.random() < 0.95 else text(rng)
            parameters.append(Parameter(name=name, value=value))
        service = pick(rng, self.setters)
        response = self.call(service, service.srv_type.Request(parameters=parameters))
        results = response.results if hasattr(response, "results") else [response.result]
        for result in results:
            assert "internal error" not in result.reason, result.reason
            assert len(result.reason) < LONGEST_MESSAGE, f"a reason of {len(result.reason)} characters"
        self.check()
        return "set" if all(result.successful for result in results) else "refused"


class LifecycleTarget(NodeTarget):
    """Transitions in any order, calls in between."""

    def one(self, rng: Dice) -> str:
        """A transition, or a call."""
        if rng.random() < 0.5:
            service = pick(rng, [one for one in self.node.services if one.srv_name.endswith(("/segment", "/refine"))])
            response = self.call(service, message(service.srv_type.Request, rng))
            assert "internal error" not in response.message, response.message
            done = "call"
        else:
            done = pick(rng, ("configure", "activate", "deactivate", "cleanup"))
            try:
                getattr(self.node, f"trigger_{done}")()
            except Exception as error:  # a transition that this state does not have is rclpy's to refuse
                if "transition" not in str(error).lower():
                    raise
                done = "refused"
        self.check()
        return done


TARGETS = {
    "services": ServiceTarget,
    "topics": TopicTarget,
    "parameters": ParameterTarget,
    "lifecycle": LifecycleTarget,
}
