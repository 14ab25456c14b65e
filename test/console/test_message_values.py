# SPDX-License-Identifier: Apache-2.0
"""Plain values of a browser into ROS messages and back, and the shell lines of calls."""

import json
import math
import shlex

import numpy as np
import pytest
import yaml

from seem_ros.console.client.message_values import call_line, fill, to_plain
from seem_ros.errors import PromptError
from seem_ros.msg import SegmentArray, Target
from seem_ros.srv import Refine, RemoveTargets, Segment, SetVocabulary


def no_picture(name):
    raise PromptError("no picture")


def test_a_request_is_filled_field_by_field():
    request = {
        "prompts": [{"text": "mug", "clicks": [{"x": 3, "y": 4.5}, {"x": 1, "y": 2, "negative": True}],
                     "scribbles": [{"points": [{"x": 0, "y": 1}], "width": 5}]}],
        "track": True, "camera": "front", "stamp": {"sec": 7, "nanosec": 8},
    }  # fmt: skip
    message = fill(Segment.Request(), request, no_picture)
    prompt = message.prompts[0]
    assert (prompt.text, prompt.clicks[0].y, prompt.clicks[1].negative, prompt.scribbles[0].width) == (
        "mug", 4.5, True, 5.0,
    )  # fmt: skip
    assert (message.track, message.camera, message.stamp.sec, message.stamp.nanosec) == (True, "front", 7, 8)


def test_a_picture_is_put_in_by_its_id():
    request = {"prompts": [{"reference": {"compressed_image": {"picture": "p1"}, "clicks": [{"x": 1, "y": 1}]}}]}
    message = fill(Segment.Request(), request, lambda name: (b"\xff\xd8data", "jpeg"))
    picture = message.prompts[0].reference.compressed_image
    assert (bytes(picture.data), picture.format) == (b"\xff\xd8data", "jpeg")


@pytest.mark.parametrize("request_values, reason", [
    ([], "must be an object"),
    ({"no_such": 1}, "has no field"),
    ({"__class__": 1}, "has no field"),
    ({"prompts": {}}, "must be a list"),
    ({"prompts": [1]}, r"prompts\[0\] must be an object"),
    ({"prompts": [{"text": 5}]}, "must be a text"),
    ({"prompts": [{"text": "a" * 3000}]}, "at most 2000"),
    ({"prompts": [{"text": "\ud800"}]}, "no ROS string"),
    ({"prompts": [{"text": "a\0b"}]}, "no ROS string"),
    ({"prompts": [{"clicks": [{"x": "1"}]}]}, "finite number"),
    ({"prompts": [{"clicks": [{"x": True}]}]}, "finite number"),
    ({"prompts": [{"clicks": [{"x": math.nan}]}]}, "finite number"),
    ({"prompts": [{"clicks": [{"x": 1e300}]}]}, "too large"),
    ({"prompts": [{"clicks": [{}] * 5001}]}, "5000 entries"),
    ({"track": 1}, "true or false"),
    ({"stamp": {"sec": 2**31}}, "whole number"),
    ({"stamp": {"sec": 1.5}}, "whole number"),
    ({"stamp": 5}, "must be an object"),
    ({"image": {"data": [1, 2]}, "compressed_image": {"data": [1]}}, "must name a picture"),
    ({"compressed_image": {"picture": "x"}}, "no picture"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(request_values, reason):
    with pytest.raises(PromptError, match=reason):
        fill(Segment.Request(), request_values, no_picture)


def test_a_message_becomes_json_without_pictures_and_numbers_that_json_lacks():
    message = SegmentArray()
    message.labels.data = np.zeros(12, np.uint8).tolist()
    target = Target(presence=math.nan, label="müg")
    plain = json.loads(json.dumps({"array": to_plain(message), "target": to_plain(target)}, allow_nan=False))
    assert plain["array"]["labels"]["data"] == {"bytes": 12}
    assert plain["array"]["header"]["stamp"] == "0.000000000"
    assert plain["target"]["presence"] is None and plain["target"]["label"] == "müg"


@pytest.mark.parametrize("kind, values", [
    (Segment, {"prompts": [{"text": "the 'red' mug; rm -rf $HOME `x` \"y\""}], "track": True}),
    (Segment, {"prompts": [{"text": "yes"}, {"text": "1.5"}, {"text": "a: b, {c}"}, {"text": "# no"}]}),
    (Refine, {"target_id": 3, "prompt": {"clicks": [{"x": 1.5, "y": 2, "negative": True}]}}),
    (RemoveTargets, {"all": True, "camera": ""}),
    (SetVocabulary, {"things": ["müg", "~"], "stuff": ["table"]}),
])  # fmt: skip
def test_a_shell_line_makes_the_same_request(kind, values):
    name = f"seem_ros/srv/{kind.__name__}"
    words = shlex.split(call_line("/seem/x", name, values), comments=True)
    assert words[:5] == ["ros2", "service", "call", "/seem/x", name] and len(words) == 6
    spoken = yaml.safe_load(words[5])
    assert fill(kind.Request(), spoken, no_picture) == fill(kind.Request(), values, no_picture)


def test_a_shell_line_says_where_a_picture_is_missing():
    values = {"prompts": [{"reference": {"compressed_image": {"picture": "p1"}, "clicks": [{"x": 1, "y": 1}]}}]}
    line = call_line("/seem/segment", "seem_ros/srv/Segment", values)
    assert line.endswith("# and 1 picture, which a shell line cannot carry")
    assert "p1" not in line
