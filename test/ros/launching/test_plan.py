# SPDX-License-Identifier: Apache-2.0
"""What the launch files start, without ROS's launch."""

import ast
import os
import sys
from pathlib import Path
from subprocess import run
from xml.etree import ElementTree

import pytest
import yaml

from seem_ros.errors import PromptError
from seem_ros.ros.launching.plan import ARGUMENTS, DEMO_ARGUMENTS, DEPTH, IMAGE, plan_demo, plan_seem
from seem_ros.ros.parameters import table

ROOT = Path(__file__).parents[3]
NONE_SET: dict[str, str] = {}


def plan(installed=("rviz2",), environment=NONE_SET, **given):
    values = {name: argument.default for name, argument in ARGUMENTS.items()} | given
    return plan_seem(values, ROOT, lambda package: package in installed, environment)


def node(**given):
    return plan(**given).processes[0]


def overrides(**given):
    return node(**given).parameters[1] if len(node(**given).parameters) > 1 else {}


def test_without_arguments_it_is_a_realsense_and_the_packages_parameters():
    assert node().remappings == (("image", IMAGE), ("depth", DEPTH))
    assert node().parameters == (str(ROOT / "config" / "seem.yaml"),)


@pytest.mark.parametrize("image", ["image_raw", "/usb_cam/image_raw/compressed"])
def test_another_image_is_passed_on_as_it_is_and_the_node_finds_its_calibration(image):
    assert node(image=image).remappings == (("image", image),)
    told = node(image=image, depth="/d", camera_info="/i").remappings
    assert told == (("image", image), ("depth", "/d"), ("camera_info", "/i"))


def test_use_sim_time_is_left_to_the_parameter_file_unless_it_is_given():
    assert "use_sim_time" not in overrides()
    assert overrides(use_sim_time="true") == {"use_sim_time": True}
    assert overrides(use_sim_time="false") == {"use_sim_time": False}


def test_what_is_given_overrides_and_names_a_parameter_that_there_is():
    given = overrides(model="/m", backend="torch", vocabulary="mug, box", panoptic="true")
    assert given == {"model": "/m", "backend": "torch", "things": "mug, box", "panoptic": True}
    assert set(given) <= {row.name for row in table()}


def test_the_console_is_started_where_it_is_wanted():
    assert [one.executable for one in plan().processes] == ["seem"]
    assert [one.executable for one in plan(console="true").processes] == ["seem", "console"]
    values = {name: argument.default for name, argument in DEMO_ARGUMENTS.items()} | {"console": "true"}
    started = plan_demo(values, ROOT, lambda package: False).processes
    assert [one.executable for one in started] == ["tabletop_camera", "seem", "console"]


def test_an_enclave_is_given_to_the_node_and_the_console_each_its_own():
    secured = plan(enclave="/seem", console="true", log_level="debug").processes
    assert secured[0].arguments[:3] == ("--ros-args", "--enclave", "/seem/node")
    assert secured[0].arguments[3:] == ("--ros-args", "--log-level", "seem:=debug")
    assert secured[1].arguments == ("--ros-args", "--enclave", "/seem/console")
    assert all(not one.arguments for one in plan(console="true").processes)
    with pytest.raises(PromptError, match="enclave must be a path such as /seem, got 'seem/'"):
        plan(enclave="seem/")


def test_several_cameras_are_one_argument():
    both = node(cameras="front:=/front/image_raw, left:=/left/image_raw+/left/depth")
    assert both.parameters[1] == {"cameras": ["front", "left"]}
    assert both.remappings == (
        ("front/image", "/front/image_raw"),
        ("left/image", "/left/image_raw"),
        ("left/depth", "/left/depth"),
    )


def test_a_camera_named_alone_is_heard_on_the_topics_of_a_node_with_one_camera():
    alone = node(cameras="front=/front/image_raw")
    assert alone.parameters[1] == {"cameras": ["front"]}
    assert alone.remappings == (("image", "/front/image_raw"),)
    with_depth = node(cameras="front:=/front/image_raw + /front/depth")
    assert with_depth.remappings == (("image", "/front/image_raw"), ("depth", "/front/depth"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cameras": "front"}, "name:=/image/topic"),
        ({"cameras": "3d:=/a"}, "name:=/image/topic"),
        ({"cameras": "a:=/a,a:=/b"}, "twice"),
        ({"cameras": "a:=/a", "depth": "/d"}, "without image, depth"),
        ({"device": "gpu"}, "number of a GPU"),
        ({"params_file": "/nope.yaml"}, "cannot be read"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line(given, words):
    with pytest.raises(PromptError, match=words) as refused:
        plan(**given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "max_rate_hz: 5", "seem:\n  max_rate_hz: 5", "a: [", "- 1", "/**:\n  ros__parameters: 3", "\xff\xfe"]
)
def test_a_parameter_file_of_the_wrong_form_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(PromptError, match=r"params\.yaml") as refused:
        plan(params_file=str(path))
    assert "\n" not in str(refused.value)


def test_a_missing_rviz_is_said_and_everything_else_starts():
    without = plan(installed=(), rviz="true")
    assert [process.executable for process in without.processes] == ["seem"]
    assert "rviz2 is not installed" in without.notes[0]
    assert [process.executable for process in plan(rviz="true").processes] == ["seem", "rviz2"]
    depends = [one.text for one in ElementTree.parse(ROOT / "package.xml").iter("exec_depend")]
    assert "rviz2" in depends


def test_rviz_follows_namespace_camera_frame_and_clock():
    rviz = plan(rviz="true", namespace="/robot1", use_sim_time="true", target_frame="base_link").processes[1]
    assert ("/seem/overlay", "/robot1/seem/overlay") in rviz.remappings
    assert rviz.arguments[-2:] == ("-f", "base_link") and rviz.parameters == ({"use_sim_time": True},)
    two = plan(rviz="true", cameras="front:=/f,left:=/l").processes[1]
    assert ("/seem/markers", "/seem/front/markers") in two.remappings
    assert plan(rviz="true").processes[1].remappings == ()
    shown = (ROOT / "config" / "seem.rviz").read_text()
    assert all(f"Value: {name}" in shown for name, _ in rviz.remappings)


def test_log_level_respawn_and_device_reach_the_node():
    told = node(log_level="debug", respawn="true", namespace="robot1")
    assert told.arguments == ("--ros-args", "--log-level", "robot1.seem:=debug") and told.respawn
    assert not node().respawn and node().arguments == ()
    assert plan(device="1").environment["CUDA_VISIBLE_DEVICES"] == "1"


def test_large_pictures_get_their_shared_memory_unless_the_user_chose_otherwise():
    set_here = plan().environment
    assert list(set_here) == ["FASTDDS_DEFAULT_PROFILES_FILE"] and Path(*set_here.values()).is_file()
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in plan(environment={"ROS_DISTRO": "humble"}).environment
    assert plan(environment={"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}).environment == set_here
    assert plan(environment={"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}).environment == {}
    assert plan(environment={"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}).environment == {}


def test_the_demo_plays_a_clip_or_the_living_world():
    def camera(**given):
        values = {name: argument.default for name, argument in DEMO_ARGUMENTS.items()} | given
        return plan_demo(values, ROOT, lambda package: True)

    assert camera().processes[0].parameters == ({"clip": "tabletop", "seed": 7},)
    assert camera(clip="live").processes[0].parameters[0]["clip"] == ""
    assert [process.executable for process in camera().processes] == ["tabletop_camera", "seem", "rviz2"]
    assert camera().processes[1].remappings == (("image", "/tabletop/image"), ("depth", "/tabletop/depth"))
    with pytest.raises(PromptError, match="seed"):
        camera(seed="x")


@pytest.mark.parametrize("arguments", [ARGUMENTS, DEMO_ARGUMENTS], ids=["seem", "demo"])
def test_every_argument_is_described_and_its_default_is_allowed(arguments):
    for argument in arguments.values():
        assert len(argument.description) > 10
        assert not argument.choices or argument.default in argument.choices


def test_launch_files_decide_nothing_and_the_plan_needs_no_launch():
    for name in ("seem", "demo"):
        tree = ast.parse((ROOT / "launch" / f"{name}.launch.py").read_text())
        functions = [one for one in tree.body if isinstance(one, ast.FunctionDef)]
        assert [one.name for one in functions] == ["generate_launch_description"]
        assert not any(isinstance(one, ast.If) for one in ast.walk(tree))
    code = "import sys, seem_ros.ros.launching.plan; sys.exit('launch' in sys.modules or 'rclpy' in sys.modules)"
    assert run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60).returncode == 0


def test_the_parameter_file_that_ships_passes_its_own_check():
    assert yaml.safe_load((ROOT / "config" / "seem.yaml").read_text())["/**"]["ros__parameters"]
    plan(params_file=str(ROOT / "config" / "seem.yaml"))
