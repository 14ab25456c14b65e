# SPDX-License-Identifier: Apache-2.0
"""Odd but possible values: stamps beyond 32 bits, long names, unknown types, bombs, decoded pictures in the buffer."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from colour_session import colour_session
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from seem_ros.command_line import one_line_errors
from seem_ros.errors import DataError, FrameError
from seem_ros.perception.pictures.picture_file import read_picture_file
from seem_ros.perception.structures.frame import Intrinsics
from seem_ros.ros.camera.frame_buffer import FrameRing, StoredFrame
from seem_ros.ros.messages.images import array_to_image, array_to_jpeg, ns_to_stamp, stamp_to_ns
from seem_ros.ros.services import LONGEST_MESSAGE, guard_parameter_services, shortened


def test_a_stamp_beyond_32_bits_of_seconds_becomes_the_nearest_one_that_fits():
    highest = (2**31 - 1) * 10**9 + 999_999_999
    for ns, wanted in (
        (highest + 5 * 10**9, highest),
        (-(2**33) * 10**9, -(2**31) * 10**9),
        (1_500_000_000, 1_500_000_000),
    ):
        assert stamp_to_ns(ns_to_stamp(ns)) == wanted


@pytest.mark.parametrize("focal", [1e-300, 1e-5, 1e9, 1e300])
def test_focal_lengths_that_no_camera_has_are_refused_and_give_no_positions_that_are_no_numbers(focal):
    with pytest.raises(FrameError, match="focal lengths"):
        Intrinsics(focal, 500.0, 320.0, 240.0)


def test_decoded_pictures_count_in_the_memory_of_the_buffer():
    picture = np.zeros((480, 640, 3), np.uint8)
    ring = FrameRing(100, 3 * picture.nbytes)
    for number in range(10):
        stored = StoredFrame(array_to_jpeg(picture, Header(stamp=ns_to_stamp(10**9 * (number + 1))), 80), "camera")
        ring.add(stored)
        stored.frame()
    ring.add(StoredFrame(array_to_jpeg(picture, Header(stamp=ns_to_stamp(10**9 * 20)), 80), "camera"))
    kept = list(ring._frames)
    assert sum(one.size_bytes for one in kept) <= 3 * picture.nbytes
    assert isinstance(kept[-1].msg, CompressedImage) and len(kept) >= 2


@pytest.fixture(scope="module")
def running():
    with colour_session() as made:
        yield made


def test_names_of_a_vocabulary_are_cleaned_and_stuff_stays_stuff(running):
    running.thread.call(lambda: running.set_vocabulary(["mug"], ["robot  arm", " wall "]), 10.0)
    assert running.vocabulary() == (["mug"], ["robot arm", "wall"])


def test_names_with_html_entities_are_taken_as_they_are_and_stuff_stays_stuff(running):
    def change(things, stuff):
        return running.thread.call(lambda: running.set_vocabulary(things, stuff), 10.0)

    change(["salt &amp; pepper", "mug"], ["wall &lt;red&gt;"])
    assert running.vocabulary() == (["salt &amp; pepper", "mug"], ["wall &lt;red&gt;"])


@pytest.mark.parametrize("name", ["x" * 201, "", " ", "a,b"])
def test_names_of_a_vocabulary_that_are_none_are_refused(running, name):
    with pytest.raises(Exception, match="a vocabulary's name must have 1 to 200 characters") as caught:
        running.thread.call(lambda: running.set_vocabulary([name], []), 10.0)
    assert len(str(caught.value)) < 300


def test_a_message_does_not_echo_what_was_sent_by_the_hundred_kilobytes():
    assert shortened("short") == "short"
    assert len(shortened("x" * 100_000)) <= LONGEST_MESSAGE and "100,000 characters" in shortened("x" * 100_000)


@pytest.mark.parametrize("kind", [SetParameters, SetParametersAtomically])
def test_an_unknown_type_number_of_a_parameter_is_refused_and_does_not_escape_the_callback(private_ros, kind):
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("typed", context=context)
    node.declare_parameter("size", 1)
    guard_parameter_services(node)
    (service,) = (one for one in node.services if one.srv_type is kind)
    request = kind.Request(parameters=[Parameter(name="size", value=ParameterValue(type=99))])
    response = service.callback(request, kind.Response())
    result = response.results[0] if kind is SetParameters else response.result
    assert not result.successful and "unknown type number 99" in result.reason
    good = kind.Request(parameters=[Parameter(name="size", value=ParameterValue(type=2, integer_value=5))])
    response = service.callback(good, kind.Response())
    assert (response.results[0] if kind is SetParameters else response.result).successful
    node.destroy_node()
    rclpy.shutdown(context=context)


def _bomb(side: int) -> bytes:
    """A PNG that claims side x side pixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6), 9))
        + chunk(b"IEND", b"")
    )


def test_a_small_file_that_claims_to_be_a_picture_of_gigabytes_is_refused_before_it_is_decoded(tmp_path):
    import resource

    (tmp_path / "bomb.png").write_bytes(_bomb(60_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError):
        read_picture_file(tmp_path / "bomb.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_what_a_tool_raises_becomes_one_line_and_exit_status_2(capsys):
    def raising(error):
        @one_line_errors
        def main():
            raise error

        return main

    for error in (
        ValueError("two\nlines"),
        FileNotFoundError(2, "No such file", "x.png"),
        MemoryError(),
        DataError("no"),
    ):
        assert raising(error)() == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1 and "Traceback" not in said
    assert raising(KeyboardInterrupt())() == 130
    for name, hint in (("torch.nn", "'torch>=2.2,<3'"), ("nobody", "No module named 'nobody'")):
        assert raising(ModuleNotFoundError(f"No module named {name!r}", name=name))() == 2
        assert hint in capsys.readouterr().err


def test_an_image_message_without_anything_is_refused_by_name():
    with pytest.raises(FrameError):
        StoredFrame(Image(), "camera").frame()
    assert array_to_image(np.zeros((2, 2, 3), np.uint8), Header()).encoding == "rgb8"
