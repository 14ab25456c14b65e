# SPDX-License-Identifier: Apache-2.0
"""Parameters that are set at the same time on several threads."""

import threading

import pytest
import rclpy
from colour_session import colour_session
from rclpy.parameter import Parameter

from seem_ros.ros.parameters.live import LiveParameters

SOON_S = 0.5


@pytest.fixture
def node(private_ros):
    context = rclpy.Context()
    rclpy.init(context=context)
    made = rclpy.create_node("live", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def running():
    with colour_session() as made:
        yield made


def test_a_parameter_that_is_set_while_a_call_changes_the_vocabulary_is_in_force_as_it_is_shown(node, running):
    begun, called = threading.Event(), threading.Event()

    def prepare(settings):
        begun.set()
        called.wait(SOON_S)  # the call either waits for its turn, or is through by then

    live = LiveParameters(node, lambda: running, prepare)
    setting = threading.Thread(target=lambda: node.set_parameters([Parameter("jpeg_quality", value=50)]))
    setting.start()
    assert begun.wait(10)
    calling = threading.Thread(target=lambda: (live.note_vocabulary("mug, bowl", ""), called.set()))
    calling.start()
    for one in (setting, calling):
        one.join(20)
    shown = node.get_parameter("things").value, node.get_parameter("jpeg_quality").value
    assert shown == (live.settings.things, live.settings.jpeg_quality) == ("mug, bowl", 50)
    assert running.settings == live.settings
