# SPDX-License-Identifier: Apache-2.0
"""The robot's frames as /tf and /clock tell them."""

import pytest
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from harness import wait_for
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from seem_ros.ros.messages.images import ns_to_stamp
from seem_ros.ros.transforms.buffer import TransformError
from seem_ros.ros.transforms.listener import TransformListener

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not on PyPI; `make test` generates it")

S = 1_000_000_000
LATCHED = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Simulator:
    """Time, a robot that drives 1 m/s along x of the map from where it is put, and what a listener knows of it."""

    def __init__(self, client):
        self.node = client.node
        self.node.set_parameters([Parameter("use_sim_time", value=True)])
        self._clock = client.publisher(Clock, "/clock")
        self._moving = client.publisher(tf2_msgs.TFMessage, "/tf", QoSProfile(depth=100))
        self._fixed = client.publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED)
        self._fixed.publish(_told("base", "camera", 0, 0.0))
        self.listener = TransformListener(self.node, lambda: None)
        self.listener.listen()
        wait_for(lambda: self.where("base", "camera", 0) is not None, "what is fixed")

    def set_time(self, second):
        def is_set():
            self._clock.publish(Clock(clock=ns_to_stamp(second * S)))
            return self.node.get_clock().now().nanoseconds == second * S

        wait_for(is_set, f"second {second} on the clock")

    def drive(self, x_m, seconds, offset_ns=0):
        """Tell where the robot is; what is told twice might be on its way still when the next run begins."""
        wait_for(self._moving.get_subscription_count, "a listener")
        for number, second in enumerate(seconds):
            self._moving.publish(_told("map", "base", second * S + offset_ns, x_m + number))
        wait_for(lambda: self.where("map", "base", seconds[-1] * S + offset_ns) == x_m + number, "the robot's way")

    def where(self, parent, child, stamp_ns):
        """How far it is along x; None where that is not known."""
        try:
            return self.listener.buffer.lookup(parent, child, stamp_ns).translation_m[0]
        except TransformError:
            return None


def _told(parent, child, stamp_ns, x_m):
    transform = TransformStamped(child_frame_id=child, transform=Transform(translation=Vector3(x=x_m)))
    transform.header.frame_id, transform.header.stamp = parent, ns_to_stamp(stamp_ns)
    transform.transform.rotation.w = 1.0
    return tf2_msgs.TFMessage(transforms=[transform])


@pytest.fixture
def simulator(client):
    made = Simulator(client)
    yield made
    made.listener.close()


def test_after_a_simulator_was_reset_within_ten_seconds_the_robot_is_where_it_is_now(simulator):
    simulator.set_time(108)
    simulator.drive(50.0, range(100, 109))
    assert simulator.where("map", "camera", 101 * S) == 51.0
    simulator.set_time(100)
    wait_for(lambda: simulator.where("map", "camera", 101 * S) is None, "the end of the first run")
    assert simulator.where("base", "camera", 101 * S) == 0.0
    simulator.drive(0.0, range(100, 103), offset_ns=3_000_000)  # between the stamps of the first run
    assert simulator.where("map", "camera", 101 * S) == pytest.approx(0.997)
    assert simulator.where("map", "camera", 105 * S) is None
    simulator.set_time(103)
    assert simulator.where("map", "camera", 101 * S) == pytest.approx(0.997), "time that goes on forgets nothing"


def test_a_listener_that_was_closed_listens_again(simulator):
    simulator.listener.close()
    simulator.listener.close()
    simulator.listener.listen()
    wait_for(lambda: simulator.where("base", "camera", 0) == 0.0, "what is fixed, once more")
