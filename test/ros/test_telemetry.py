# SPDX-License-Identifier: Apache-2.0
"""A node at work looks up nobody, connects to nobody and leaves no ids behind."""

import time

import numpy as np
import pytest
from harness import ROOT, Camera, NodeProcess, wait_for
from network_watch import SENDS_AFTER_S, NetworkWatch

from seem_ros.msg import Click, Prompt
from seem_ros.privacy import SWITCHES
from seem_ros.srv import Segment


@pytest.mark.long
def test_a_node_at_work_talks_to_this_machine_only(tmp_path, client, monkeypatch):
    watch = NetworkWatch(tmp_path)
    for name, value in watch.environment().items():
        monkeypatch.setenv(name, value)
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    node = NodeProcess(ROOT / "scripts" / "seem", "panoptic:=true", remaps=("image:=watched/image",), name="watched")
    camera = Camera(client, "watched/image", lambda index: np.full((240, 320, 3), index % 256, np.uint8))
    try:
        asked = Segment.Request(prompts=[Prompt(text="mug"), Prompt(clicks=[Click(x=9.0, y=9.0)])], track=True)
        wait_for(lambda: client.call(Segment, "/watched/segment", asked).success, "an answer", 60)
        end = time.monotonic() + SENDS_AFTER_S
        while time.monotonic() < end:
            assert client.call(Segment, "/watched/segment", asked) is not None
    finally:
        camera.close()
        node.stop()
    assert watch.noticed() == []
    assert watch.left() == []
