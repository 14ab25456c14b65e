# SPDX-License-Identifier: Apache-2.0
"""The dozen shapes as triangle meshes with texture coordinates, computed with numpy.

Every mesh stands on z = 0 around the z axis, in metres, faces wound counter-clockwise seen from outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.vocabulary import SHAPES

_UV_PER_METRE = 12.0


@dataclass(frozen=True)
class Mesh:
    """Triangles of one surface.

    Attributes:
        vertices_m: float64 [V, 3], metres, in the object's own frame (origin at the centre of its foot).
        faces: int32 [F, 3] indices into the vertices.
        uv: float64 [V, 2] texture coordinates; one unit is one repeat of the texture.
    """

    vertices_m: np.ndarray
    faces: np.ndarray
    uv: np.ndarray


def join(*parts: Mesh) -> Mesh:
    """Returns the parts as one mesh, vertices unshared."""
    offsets = np.cumsum([0] + [len(part.vertices_m) for part in parts[:-1]])
    return Mesh(
        np.concatenate([part.vertices_m for part in parts]),
        np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)]),
        np.concatenate([part.uv for part in parts]),
    )


def _grid(points: np.ndarray, uv: np.ndarray) -> Mesh:
    """Triangulates a [rows, columns, 3] sheet of points, leaving out triangles without area."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    flat = points.reshape(-1, 3)
    edges = np.cross(flat[faces[:, 1]] - flat[faces[:, 0]], flat[faces[:, 2]] - flat[faces[:, 0]])
    return Mesh(flat, faces[np.linalg.norm(edges, axis=1) > 1e-12].astype(np.int32), uv.reshape(-1, 2))


def lathe(profile_rz_m: np.ndarray, segments: int = 28) -> Mesh:
    """Turns a profile around the z axis.

    Args:
        profile_rz_m: float [P, 2] radius and height, metres; going up along the outside (then down the inside).
        segments: corners around the axis.
    """
    profile = np.asarray(profile_rz_m, float)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    radius, height = profile[:, :1], profile[:, 1:]
    points = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), np.broadcast_to(height, (len(profile), segments + 1))], -1
    )
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    turns = max(2, round(2 * np.pi * profile[:, 0].max() * _UV_PER_METRE))
    uv = np.stack(np.broadcast_arrays(angle / (2 * np.pi) * turns, arc[:, None] * _UV_PER_METRE), -1)
    return _grid(points, uv)


def tube(path_m: np.ndarray, radius_m: float, sides: int = 8) -> Mesh:
    """Sweeps a circle along a path in the x-z plane (a mug's handle).

    Args:
        path_m: float [P, 2] x and z of the centre line, metres.
        radius_m: radius of the tube, metres.
        sides: corners of its cross section.
    """
    path = np.asarray(path_m, float)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    across = radius_m * np.cos(angle)
    points = np.stack(
        [
            path[:, :1] + normal[:, :1] * across,
            np.broadcast_to(radius_m * np.sin(angle), (len(path), sides + 1)),
            path[:, 1:] + normal[:, 1:] * across,
        ],
        -1,
    )
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays(angle / (2 * np.pi), arc[:, None] * _UV_PER_METRE), -1)
    return _grid(points, uv)


def _prism(outline_m: np.ndarray, height_m: float, taper: float = 1.0) -> Mesh:
    """Raises a star-shaped outline [P, 2] to a height; the top is scaled by `taper`. Flat sides, unshared corners."""
    outline = np.asarray(outline_m, float)
    count = len(outline)
    following = np.roll(outline, -1, axis=0)
    low, high = np.zeros((count, 1)), np.full((count, 1), height_m)
    sides = np.stack(
        [
            np.hstack([outline, low]),
            np.hstack([following, low]),
            np.hstack([following * taper, high]),
            np.hstack([outline * taper, high]),
        ],
        1,
    )
    width = np.linalg.norm(following - outline, axis=1)
    side_uv = np.zeros((count, 4, 2))
    side_uv[:, 1:3, 0] = width[:, None]
    side_uv[:, 2:, 1] = height_m
    quads = np.arange(count * 4).reshape(count, 4)
    side_faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    if taper < 1e-6:
        side_faces = quads[:, [0, 1, 2]]
    parts = [Mesh(sides.reshape(-1, 3), side_faces.astype(np.int32), side_uv.reshape(-1, 2) * _UV_PER_METRE)]
    for z, scale, flip in ((0.0, 1.0, True), (height_m, taper, False)):
        if scale < 1e-6:
            continue
        ring = np.vstack([[[0, 0, z]], np.hstack([outline * scale, np.full((count, 1), z)])])
        fan = np.stack([np.zeros(count, int), np.arange(1, count + 1), np.roll(np.arange(1, count + 1), -1)], -1)
        parts.append(Mesh(ring, fan[:, :: -1 if flip else 1].astype(np.int32), ring[:, :2] * _UV_PER_METRE))
    return join(*parts)


def slab(half_x_m: float, half_y_m: float, height_m: float) -> Mesh:
    """Returns a box standing on z = 0."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [half_x_m, half_y_m]
    return _prism(corners, height_m)


def _arc(centre_rz: tuple[float, float], radius: float, start_deg: float, stop_deg: float, count: int) -> np.ndarray:
    angle = np.radians(np.linspace(start_deg, stop_deg, count))
    return np.stack([centre_rz[0] + radius * np.cos(angle), centre_rz[1] + radius * np.sin(angle)], -1)


def _box(rng: np.random.Generator, s: float) -> Mesh:
    return slab(*(s * rng.uniform([0.028, 0.028, 0.05], [0.048, 0.042, 0.10])))


def _ball(rng: np.random.Generator, s: float) -> Mesh:
    r = s * rng.uniform(0.034, 0.042)
    return lathe(_arc((0, r), r, -90, 90, 15))


def _cylinder(rng: np.random.Generator, s: float) -> Mesh:
    r, h = s * rng.uniform(0.028, 0.040), s * rng.uniform(0.065, 0.105)
    return lathe(np.array([[0, 0], [r, 0], [r, 0], [r, h / 2], [r, h], [r, h], [0, h]]))


def _capsule(rng: np.random.Generator, s: float) -> Mesh:
    r, h = s * rng.uniform(0.020, 0.026), s * rng.uniform(0.05, 0.08)
    return lathe(np.vstack([_arc((0, r), r, -90, 0, 8), _arc((0, r + h), r, 0, 90, 8)]))


def _cone(rng: np.random.Generator, s: float) -> Mesh:
    r, h = s * rng.uniform(0.036, 0.046), s * rng.uniform(0.08, 0.115)
    return lathe(np.vstack([[[0, 0], [r, 0], [r, 0]], np.linspace([r * 0.98, h * 0.02], [0, h], 8)]))


def _ring(rng: np.random.Generator, s: float) -> Mesh:
    tube_radius = s * rng.uniform(0.010, 0.014)
    return lathe(_arc((s * rng.uniform(0.038, 0.048), tube_radius), tube_radius, -180, 180, 13), 32)


def _mug(rng: np.random.Generator, s: float) -> Mesh:
    r, h, wall = s * rng.uniform(0.034, 0.042), s * rng.uniform(0.078, 0.098), s * 0.004
    body = lathe(
        np.array(
            [
                [0, 0],
                [r * 0.94, 0],
                [r, h * 0.06],
                [r, h * 0.5],
                [r, h],
                [r - wall, h],
                [r - wall, h],
                [r - wall, h * 0.5],
                [r - wall, wall],
                [r - wall, wall],
                [0, wall],
            ]
        )
    )
    reach = rng.uniform(0.55, 0.75) * r
    angle = np.radians(np.linspace(-90, 90, 11))
    handle = np.stack([r - wall / 2 + reach * np.cos(angle), h * 0.5 + h * 0.30 * np.sin(angle)], -1)
    return join(body, tube(handle, s * rng.uniform(0.0052, 0.0068)))


def _bowl(rng: np.random.Generator, s: float) -> Mesh:
    r, h, wall = s * rng.uniform(0.058, 0.074), s * rng.uniform(0.040, 0.052), s * 0.004
    angle = np.radians(np.linspace(25, 90, 9))
    outer = np.stack([r * np.sin(angle), h * (1 - np.cos(angle) / np.cos(angle[0]))], -1)
    inner = outer[::-1] - [wall, 0] + np.linspace(0, wall, 9)[:, None] * [0, 1]
    return lathe(np.vstack([[[0, 0]], outer, inner, [[0, wall]]]))


def _bottle(rng: np.random.Generator, s: float) -> Mesh:
    r, h = s * rng.uniform(0.027, 0.034), s * rng.uniform(0.155, 0.195)
    neck = r * rng.uniform(0.36, 0.46)
    shoulder = rng.uniform(0.52, 0.64) * h
    bend = np.radians(np.linspace(0, 90, 6))
    curve = np.stack([neck + (r - neck) * np.cos(bend), shoulder + 0.18 * h * np.sin(bend)], -1)
    return lathe(
        np.vstack(
            [
                [[0, 0], [r * 0.95, 0], [r, 0.03 * h]],
                curve,
                [[neck, h * 0.92], [neck * 1.25, h * 0.92], [neck * 1.25, h], [neck * 1.25, h], [0, h]],
            ]
        )
    )


def _plate(rng: np.random.Generator, s: float) -> Mesh:
    r, h = s * rng.uniform(0.074, 0.092), s * rng.uniform(0.012, 0.018)
    return lathe(
        np.array(
            [[0, 0], [r * 0.6, 0], [r, h - 0.003 * s], [r, h], [r * 0.96, h], [r * 0.62, 0.005 * s], [0, 0.005 * s]]
        ),
        36,
    )


def _pyramid(rng: np.random.Generator, s: float) -> Mesh:
    half, h = s * rng.uniform(0.036, 0.046), s * rng.uniform(0.065, 0.095)
    return _prism(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half, h, taper=0.0)


def _star(rng: np.random.Generator, s: float) -> Mesh:
    outer, thickness = s * rng.uniform(0.050, 0.062), s * rng.uniform(0.018, 0.028)
    angle = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, outer, outer * rng.uniform(0.40, 0.48))
    return _prism(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), thickness)


def make_mesh(shape: str, rng: np.random.Generator, scale: float = 1.0) -> Mesh:
    """Makes one object of a shape, its proportions drawn from `rng`.

    Args:
        shape: one of `SHAPES`.
        rng: source of the proportions.
        scale: size relative to the shape's usual dimensions (see `SIZE_SCALE`).

    Raises:
        DataError: unknown shape.
    """
    makers = {
        "box": _box,
        "ball": _ball,
        "cylinder": _cylinder,
        "capsule": _capsule,
        "cone": _cone,
        "ring": _ring,
        "mug": _mug,
        "bowl": _bowl,
        "bottle": _bottle,
        "plate": _plate,
        "pyramid": _pyramid,
        "star": _star,
    }
    if shape not in makers:
        raise DataError(f"unknown shape {shape!r}; the tabletop world knows {', '.join(SHAPES)}")
    return makers[shape](rng, scale)
