# SPDX-License-Identifier: Apache-2.0
"""Which nodes and cameras are found in a ROS graph."""

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from seem_ros.console.client.graph import SILENT_S, find_nodes

SEGMENTS = ["seem_ros/msg/SegmentArray"]


def status(name, **values):
    return 100.0, DiagnosticStatus(name=name, values=[KeyValue(key=key, value=value) for key, value in values.items()])


def services(node):
    return [(f"{node}/segment", ["seem_ros/srv/Segment"]), (f"{node}/undo", ["seem_ros/srv/Undo"]),
            (f"{node}/x/y", ["a/srv/B"])]  # fmt: skip


def test_a_node_with_one_camera_has_its_topics_below_its_name():
    statuses = {"seem: model": status("seem: model"),
                "seem: camera camera": status("seem: camera camera", image_topic="/a/image")}  # fmt: skip
    (node,) = find_nodes(services("/seem"), [("/seem/segments", SEGMENTS)], statuses, 101.0)
    assert node.active and dict(node.services) == {"segment": "seem_ros/srv/Segment", "undo": "seem_ros/srv/Undo"}
    (camera,) = node.cameras
    assert (camera.name, camera.image_topic, camera.segments_topic, camera.targets_topic) == (
        "camera", "/a/image", "/seem/segments", "/seem/targets",
    )  # fmt: skip


def test_several_nodes_and_cameras_are_told_apart():
    statuses = {
        f"{name}: camera {camera}": status(f"{name}: camera {camera}", image_topic=f"/{camera}")
        for name, camera in (("arm/seem", "front"), ("arm/seem", "left"), ("seem", "camera"))
    }
    topics = [("/arm/seem/front/segments", SEGMENTS), ("/arm/seem/left/segments", SEGMENTS),
              ("/seem/segments", SEGMENTS), ("/truth", SEGMENTS)]  # fmt: skip
    arm, seem = find_nodes(services("/seem") + services("/arm/seem"), topics, statuses, 101.0)
    assert [camera.segments_topic for camera in arm.cameras] == ["/arm/seem/front/segments", "/arm/seem/left/segments"]
    assert [camera.name for camera in seem.cameras] == ["camera"]


def test_a_node_that_is_silent_is_there_but_not_active():
    statuses = {"seem: model": status("seem: model"), "seem: camera camera": status("seem: camera camera")}
    (node,) = find_nodes(services("/seem"), [], statuses, 100.0 + SILENT_S)
    assert not node.active and node.cameras == ()
    assert find_nodes([("/other/segment", ["x/srv/Segment"]), ("/seem/segment", [])], [], {}, 0.0) == ()
