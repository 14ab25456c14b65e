# SPDX-License-Identifier: Apache-2.0
"""A node that was started with lock cannot be pointed at other folders over the network."""

from __future__ import annotations

import pytest

from seem_ros.ros.parameters import Settings, changed_but_locked


@pytest.mark.parametrize(
    ("name", "value"), [("model", "/tmp/other"), ("cache_dir", "/tmp"), ("objects_dir", "/tmp"), ("lock", False)]
)
def test_folders_of_a_locked_node_cannot_be_changed(name, value):
    locked = Settings(lock=True)
    assert changed_but_locked(locked, locked.changed({name: value})) == [name]


def test_other_parameters_of_a_locked_node_and_all_of_an_open_one_can_be_changed():
    locked, free = Settings(lock=True), Settings()
    assert changed_but_locked(locked, locked.changed({"overlay_alpha": 0.2})) == []
    assert changed_but_locked(free, free.changed({"model": "other", "lock": True})) == []
