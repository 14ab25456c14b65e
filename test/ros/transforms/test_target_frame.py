# SPDX-License-Identifier: Apache-2.0
"""Positions in a frame of the robot over DDS: at the picture's stamp, and answered whatever is wrong with tf."""

import numpy as np
import pytest
from colour_backend import scene
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped, Quaternion, Transform, TransformStamped, Vector3
from harness import MS, Camera, wait_for
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from seem_ros.msg import Prompt, SegmentArray, TargetArray
from seem_ros.ros.messages.images import array_to_image, ns_to_stamp, stamp_to_ns
from seem_ros.srv import RemoveTargets, Segment

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not on PyPI; `make test` generates it")

LATCHED = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
START_NS, SPEED_M_S, DEPTH_M = 100_000 * MS, 2.0, 1.5
FOCAL_PX, MIDDLE = 100.0, (64.0, 48.0)
RED = (84, 48)  # 20 pixels to the right of the optical axis: 0.3 m at 1.5 m
# x forward, y left, z up, as bodies have it, of an optical frame with x right, y down, z forward
OPTICAL = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)


class Robot:
    """A camera with depth on a base that drives along x of the map, and its /tf.

    Attributes:
        tells: Whether the base's place is told.
        start_x_m: Where on the map the base is at the first stamp.
    """

    def __init__(self, client):
        self.tells, self.start_x_m = True, 0.0
        self._moving = client.publisher(tf2_msgs.TFMessage, "/tf", QoSProfile(depth=100))
        self._fixed = client.publisher(tf2_msgs.TFMessage, "/tf_static", LATCHED)
        self._depth = client.publisher(Image, "/robot/depth")
        self._info = client.publisher(CameraInfo, "/robot/camera_info")
        self.tell_fixed("base", "optical", Vector3(z=1.0), OPTICAL)
        self.camera = Camera(
            client, "/robot/image", lambda index: scene({RED: "red"}), convert=self._picture, start_ns=START_NS
        )

    def tell_fixed(self, parent, child, at=None, turn=None):
        self._fixed.publish(tf2_msgs.TFMessage(transforms=[_stamped(parent, child, 0, at, turn)]))

    def tell(self, parent, child, stamp_ns, x_m):
        self._moving.publish(tf2_msgs.TFMessage(transforms=[_stamped(parent, child, stamp_ns, Vector3(x=x_m))]))

    def x_m(self, stamp_ns):
        """Where the base is on the map."""
        return self.start_x_m + SPEED_M_S * (stamp_ns - START_NS) / 1e9

    def _picture(self, rgb, header):
        stamp_ns = stamp_to_ns(header.stamp)
        calibration = CameraInfo(header=header, height=96, width=128)
        calibration.k = [FOCAL_PX, 0.0, MIDDLE[0], 0.0, FOCAL_PX, MIDDLE[1], 0.0, 0.0, 1.0]
        self._info.publish(calibration)
        self._depth.publish(array_to_image(np.full((96, 128), DEPTH_M, np.float32), header, "32FC1"))
        if self.tells:  # told 20 ms before and after the picture: it lies between two of them
            for near_ns in (stamp_ns - 20 * MS, stamp_ns + 20 * MS):
                self.tell("map", "base", near_ns, self.x_m(near_ns))
        return array_to_image(rgb, header)


def _stamped(parent, child, stamp_ns, at=None, turn=None):
    return TransformStamped(
        header=Header(stamp=ns_to_stamp(stamp_ns), frame_id=parent),
        child_frame_id=child,
        transform=Transform(translation=at or Vector3(), rotation=turn or Quaternion(w=1.0)),
    )


class Heard:
    """Everything the node says."""

    def __init__(self, client):
        self.segments = client.listen(SegmentArray, "/robot_node/segments")
        self.targets = client.listen(TargetArray, "/robot_node/targets")
        self.markers = client.listen(MarkerArray, "/robot_node/markers")
        self.tf = client.listen(tf2_msgs.TFMessage, "/tf", QoSProfile(depth=100))
        self.diagnostics = client.listen(DiagnosticArray, "/diagnostics")

    def newest(self, condition=lambda message: True):
        return next((one for one in reversed(self.segments[-3:]) if one.segments and condition(one)), None)

    def says(self, words):
        told = [one.message for array in self.diagnostics[-2:] for one in array.status]
        return any(words in message for message in told)


@pytest.fixture(scope="module")
def node(start_node):
    remaps = ("image:=/robot/image", "depth:=/robot/depth", "camera_info:=/robot/camera_info")
    return start_node("target_frame:=map", "diagnostics_rate_hz:=10.0", remaps=remaps, name="robot_node")


@pytest.fixture(scope="module")
def robot(client, node):
    made = Robot(client)
    ready = Segment.Request(prompts=[Prompt(text="red")])
    wait_for(lambda: client.call(Segment, "/robot_node/segment", ready).success, "the first answer", 60)
    yield made
    made.camera.close()


@pytest.fixture(scope="module")
def heard(client, robot):
    return Heard(client)


@pytest.fixture(autouse=True)
def a_target(client, robot):
    request = Segment.Request(prompts=[Prompt(text="red")], track=True)
    client.call(Segment, "/robot_node/segment", request)
    yield
    client.call(RemoveTargets, "/robot_node/remove_targets", RemoveTargets.Request(all=True))


def set_parameter(client, name, value):
    kinds = {str: ("string_value", ParameterType.PARAMETER_STRING), bool: ("bool_value", ParameterType.PARAMETER_BOOL)}
    attribute, kind = kinds[type(value)]
    parameter = Parameter(name=name, value=ParameterValue(type=kind, **{attribute: value}))
    request = SetParametersAtomically.Request(parameters=[parameter])
    return client.call(SetParametersAtomically, "/robot_node/set_parameters_atomically", request).result


def on_the_map(robot, stamp_ns):
    """The middle of the red square: 1.5 m before the base, 0.3 m to its right, as high as the camera."""
    return robot.x_m(stamp_ns) + DEPTH_M, -0.3 * 0.975, 1.0


def test_positions_are_in_the_target_frame_at_the_pictures_stamp_while_the_robot_moves(client, robot, heard):
    message = wait_for(lambda: heard.newest(lambda one: one.segments[0].has_position), "a position")
    assert message.position_frame == "map" and message.header.frame_id == "optical"
    record, stamp_ns = message.segments[0], stamp_to_ns(message.header.stamp)
    expected = on_the_map(robot, stamp_ns)
    assert (record.position.x, record.position.y, record.position.z) == pytest.approx(expected, abs=0.02)
    # the square's 16 pixels at 1.5 m are 0.24 m; it faces the robot, so it has no depth
    assert record.size.x < 0.01 and record.size.y == pytest.approx(0.22, abs=0.03)
    assert record.has_oriented_box
    sides = sorted((record.oriented_size.x, record.oriented_size.y, record.oriented_size.z))
    assert sides[0] < 0.01 and sides[1:] == pytest.approx([0.22, 0.22], abs=0.04)
    targets = wait_for(lambda: [one for one in heard.targets if one.targets and one.targets[0].has_position], "targets")
    assert targets[-1].position_frame == "map"


def test_markers_stand_in_the_target_frame(robot, heard):
    def box():
        all_of_them = [one for array in heard.markers[-3:] for one in array.markers]
        return next((one for one in all_of_them if one.action == Marker.ADD and one.ns == "segments"), None)

    marker = wait_for(box, "a marker")
    assert marker.header.frame_id == "map"
    expected = on_the_map(robot, stamp_to_ns(marker.header.stamp))
    at = marker.pose.position
    assert (at.x, at.y, at.z) == pytest.approx(expected, abs=0.03)


def test_the_frame_can_be_changed_while_it_runs_and_left_out(client, robot, heard):
    assert set_parameter(client, "target_frame", "").successful
    message = wait_for(
        lambda: heard.newest(lambda one: one.position_frame == "optical" and one.segments[0].has_position), "a position"
    )
    assert message.segments[0].position.z == pytest.approx(DEPTH_M)
    assert set_parameter(client, "target_frame", "base").successful
    message = wait_for(
        lambda: heard.newest(lambda one: one.position_frame == "base" and one.segments[0].has_position), "a position"
    )
    assert message.segments[0].position.x == pytest.approx(DEPTH_M)
    assert set_parameter(client, "target_frame", "map").successful


def test_every_tracked_target_is_a_frame_where_that_is_wanted(client, robot, heard):
    def told():
        every = [one for message in heard.tf[-30:] for one in message.transforms]
        return next((one for one in every if one.child_frame_id.startswith("robot_node/red_")), None)

    assert told() is None
    assert set_parameter(client, "broadcast_tf", True).successful
    frame = wait_for(told, "the target's frame")
    assert frame.header.frame_id == "map"
    expected = on_the_map(robot, stamp_to_ns(frame.header.stamp))
    at = frame.transform.translation
    assert (at.x, at.y, at.z) == pytest.approx(expected, abs=0.03)
    assert set_parameter(client, "broadcast_tf", False).successful


@pytest.mark.parametrize("what", ["a missing frame", "two trees", "a circle", "the future"])
def test_without_a_transform_everything_but_the_position_is_there_and_the_reason_is_said(
    client, node, robot, heard, what
):
    wanted, words = "map", ""
    if what == "a missing frame":
        wanted, words = "gripper", "there is no frame 'gripper' in tf; known frames:"
    elif what == "two trees":
        robot.tell_fixed("moon", "crater")
        wanted, words = "crater", "are in two trees that nothing joins"
    elif what == "a circle":
        for parent, child in (("round1", "round2"), ("round2", "round3"), ("round3", "round1")):
            robot.tell_fixed(parent, child)
        wanted, words = "round1", "goes in a circle"
    elif what == "the future":
        robot.tells = False
        words = "in the future of what is known"
    assert set_parameter(client, "target_frame", wanted).successful
    message = wait_for(
        lambda: heard.newest(lambda one: one.position_frame == wanted and not one.segments[0].has_position),
        "segments without a position",
    )
    assert message.segments[0].area > 100
    wait_for(lambda: heard.says(words), "the reason in diagnostics")
    asked = Segment.Request(prompts=[Prompt(text="red")])

    def answer():
        got = client.call(Segment, "/robot_node/segment", asked)
        return got if got.success and words in got.message else None

    assert f"no positions in frame {wanted!r}" in wait_for(answer, "the reason in an answer").message
    assert f"no positions in frame {wanted!r}" in node.log
    robot.tells = True
    assert set_parameter(client, "target_frame", "map").successful
    wait_for(lambda: heard.newest(lambda one: one.segments[0].has_position), "a position again")


def test_a_transform_that_comes_a_little_later_than_its_picture_is_waited_for(client, robot, heard):
    robot.tells = False
    robot.camera.pause()
    del heard.segments[:]
    stamp_ns = robot.camera.publish_one()
    robot.tell("map", "base", stamp_ns - 20 * MS, robot.x_m(stamp_ns - 20 * MS))
    robot.tell("map", "base", stamp_ns + 20 * MS, robot.x_m(stamp_ns + 20 * MS))
    message = wait_for(lambda: heard.newest(lambda one: stamp_to_ns(one.header.stamp) == stamp_ns), "the picture")
    assert message.segments[0].has_position
    robot.tells = True
    robot.camera.resume()


def test_a_click_on_a_point_of_another_frame_is_one_on_what_is_seen_there(client, node, robot, heard):
    client.call(RemoveTargets, "/robot_node/remove_targets", RemoveTargets.Request(all=True))
    clicks = client.publisher(PointStamped, "/robot_node/click")
    wait_for(clicks.get_subscription_count, "the node to listen")
    clicks.publish(PointStamped(header=Header(frame_id="base"), point=Point(x=1.5, y=-0.3, z=1.0)))
    wait_for(lambda: heard.targets[-1].targets, "a target")
    assert heard.targets[-1].targets[0].label == "red"
    clicks.publish(PointStamped(header=Header(frame_id="attic"), point=Point(x=1.5, y=-0.3, z=1.0)))
    wait_for(lambda: "there is no frame 'attic' in tf" in node.log, "a refusal")


def test_in_a_loop_of_a_few_seconds_positions_are_of_the_new_round_though_no_clock_tells_it(robot, heard):
    wait_for(lambda: len(robot.camera.stamps_ns) > 100, "some seconds")
    wait_for(lambda: heard.newest(lambda one: one.segments[0].has_position), "a position")
    robot.camera.pause()
    turned_ns = robot.camera.stamps_ns[-1]
    robot.start_x_m, before_x_m = robot.start_x_m + 50.0, robot.start_x_m
    robot.camera.rewind(80)  # four seconds
    robot.camera.resume()
    wait_for(lambda: heard.segments[-1].header.stamp != ns_to_stamp(turned_ns), "the new round")
    del heard.segments[:]
    wait_for(lambda: len(heard.segments) > 40, "two seconds of it")
    placed = [one for one in heard.segments if one.segments and one.segments[0].has_position]
    assert len(placed) > 20
    for message in placed:
        stamp_ns = stamp_to_ns(message.header.stamp)
        assert stamp_ns < turned_ns, "the round before is over"
        assert message.segments[0].position.x == pytest.approx(on_the_map(robot, stamp_ns)[0], abs=0.03)
    robot.start_x_m = before_x_m


def test_transforms_that_are_none_are_left_out_and_named_once(client, node, robot, heard):
    for _ in range(3):
        robot.tell_fixed("base", "base")
        robot.tell("base", "broken", START_NS, float("nan"))
    wait_for(lambda: "frame 'base' cannot be its own parent" in node.log, "the word about a loop of one")
    wait_for(lambda: "'broken' is left out" in node.log, "the word about NaN")
    assert node.log.count("'broken' is left out") == 1
    assert heard.newest() is not None and "Traceback" not in node.log
