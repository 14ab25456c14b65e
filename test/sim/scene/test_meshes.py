# SPDX-License-Identifier: Apache-2.0
"""Shapes made of triangles."""

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim.scene.meshes import make_mesh, slab
from seem_ros.sim.vocabulary import SHAPES


def _volume(mesh) -> float:
    a, b, c = np.moveaxis(mesh.vertices_m[mesh.faces], 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_stands_on_the_table_closed_and_facing_outwards(shape):
    mesh = make_mesh(shape, np.random.default_rng(3))
    assert mesh.vertices_m[:, 2].min() == pytest.approx(0, abs=1e-9)
    assert 0.015 < mesh.vertices_m.max() < 0.25
    assert _volume(mesh) > 1e-5  # negative, were the faces wound the wrong way round
    assert mesh.uv.shape == (len(mesh.vertices_m), 2) and mesh.faces.max() < len(mesh.vertices_m)
    shared = np.round(mesh.vertices_m, 9)
    _, same = np.unique(shared, axis=0, return_inverse=True)
    faces = same.reshape(-1)[mesh.faces]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward, backward = {tuple(e) for e in edges}, {tuple(e[::-1]) for e in edges}
    open_edges = forward ^ backward
    assert len(open_edges) <= 40  # only the ends of the mug's handle, which are inside its wall, are open
    assert shape == "mug" or not open_edges


def test_a_box_has_the_volume_of_a_box():
    assert _volume(slab(0.1, 0.2, 0.3)) == pytest.approx(0.2 * 0.4 * 0.3)


def test_a_ring_really_has_a_hole():
    mesh = make_mesh("ring", np.random.default_rng(0))
    assert np.hypot(mesh.vertices_m[:, 0], mesh.vertices_m[:, 1]).min() > 0.015


def test_a_mug_has_a_handle_on_one_side_and_is_hollow():
    mesh = make_mesh("mug", np.random.default_rng(0))
    assert mesh.vertices_m[:, 0].max() > -mesh.vertices_m[:, 0].min() + 0.01
    on_axis = np.hypot(mesh.vertices_m[:, 0], mesh.vertices_m[:, 1]) < 1e-6
    assert mesh.vertices_m[on_axis, 2].max() < 0.01


def test_the_same_seed_gives_the_same_mesh_and_scale_scales_it():
    small, large = (make_mesh("bottle", np.random.default_rng(5), scale) for scale in (0.7, 1.4))
    assert np.array_equal(small.vertices_m, make_mesh("bottle", np.random.default_rng(5), 0.7).vertices_m)
    assert np.allclose(large.vertices_m, 2 * small.vertices_m)


def test_an_unknown_shape_is_refused():
    with pytest.raises(DataError, match="unknown shape 'teapot'"):
        make_mesh("teapot", np.random.default_rng(0))
