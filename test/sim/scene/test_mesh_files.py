# SPDX-License-Identifier: Apache-2.0
"""Everyday things from mesh files."""

from __future__ import annotations

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.scene.mesh_files import SHIPPED, read_stl, read_thing, read_things, spoken_name, thin
from seem_ros.sim.vocabulary import KEPT_OUT, THINGS


def test_the_shipped_meshes_are_named_as_people_say_and_three_are_kept_out():
    things = read_things()
    assert {"banana", "hammer", "wine glass"} <= {thing.name for thing in things} <= set(THINGS)
    assert not {thing.name for thing in things} & set(KEPT_OUT)
    assert {thing.name for thing in read_things(kept_out=())} >= set(KEPT_OUT)
    assert (SHIPPED / "NOTICE").is_file()


def test_thinning_keeps_the_shape_and_drops_most_triangles():
    corners = read_stl(SHIPPED / "teapot.stl")
    mesh = thin(corners, cell_m=0.01)
    assert len(mesh.faces) < 0.8 * len(corners)
    size = np.ptp(corners.reshape(-1, 3), axis=0)
    assert np.abs(np.ptp(mesh.vertices_m, axis=0) - size).max() < 0.012


def test_parts_beside_a_thing_are_drawn_in_its_place(tmp_path):
    for name in ("hammer", "hammer_head", "hammer_neck"):
        (tmp_path / f"{name}.stl").write_bytes((SHIPPED / "hammer.stl").read_bytes())
    (thing,) = read_things(tmp_path)
    assert thing.name == "hammer" and len(thing.parts) == 2


def test_a_name_without_a_mesh_lists_what_there_is():
    assert spoken_name("stanfordbunny") == "bunny" and spoken_name("alarmclock") == "alarm clock"
    with pytest.raises(DataError, match=r"no mesh of a 'spoon' in .*, which has banana, "):
        read_thing("spoon")


@pytest.mark.parametrize("data", [b"", b"solid", bytes(80) + (9).to_bytes(4, "little") + bytes(100)])
def test_a_file_that_is_no_whole_stl_is_named(tmp_path, data):
    (tmp_path / "spoon.stl").write_bytes(data)
    with pytest.raises(DataError, match=r"spoon\.stl is not a whole binary STL"):
        read_things(tmp_path)
