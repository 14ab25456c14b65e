# SPDX-License-Identifier: Apache-2.0
"""The ratchet of types: which rooms have to be clean, and that worse and better are told."""

import runpy
from collections import Counter
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "check_types.py"))
CLEAN = ("seem_ros/perception", "seem_ros/runtime", "seem_ros/ros/messages")


def allowed():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["seem_ros"]["type_errors"]


def test_perception_runtimes_and_messages_may_have_no_type_error():
    assert [room for room in allowed() if room.startswith(CLEAN)] == []


def test_every_room_with_an_allowance_exists():
    assert [room for room in allowed() if not (ROOT / room).is_dir()] == []


def test_an_error_counts_for_the_innermost_room():
    rooms = ["seem_ros/ros", "seem_ros/ros/camera"]
    assert SCRIPT["room_of"]("seem_ros/ros/camera/pipeline.py", rooms) == "seem_ros/ros/camera"
    assert SCRIPT["room_of"]("seem_ros/ros/node.py", rooms) == "seem_ros/ros"
    assert SCRIPT["room_of"]("seem_ros/runtime/text.py", rooms) == "seem_ros/runtime"


def test_numbers_only_go_down_and_clean_rooms_leave_the_list():
    text = '[tool.seem_ros.type_errors]\n"seem_ros/sim" = 5\n"seem_ros/demo" = 2\n"seem_ros/ros" = 1\n'
    now = Counter({"seem_ros/sim": 3, "seem_ros/demo": 9})
    assert SCRIPT["lowered"](text, now) == '[tool.seem_ros.type_errors]\n"seem_ros/sim" = 3\n"seem_ros/demo" = 2\n'
