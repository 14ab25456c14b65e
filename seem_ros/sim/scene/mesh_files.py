# SPDX-License-Identifier: Apache-2.0
"""Everyday things from triangle files (binary STL): read, thinned out, named.

A file's stem is the thing's name; parts of one thing lie beside it as STEM_PART.stl and are drawn in its place, so
that a hammer's head and handle can differ in colour. Metres, any frame.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from seem_ros.errors import DataError
from seem_ros.sim.scene.meshes import Mesh
from seem_ros.sim.vocabulary import KEPT_OUT, THINGS

#: Folder of the few meshes that ship.
SHIPPED = Path(__file__).parents[1] / "data" / "meshes"
#: File stem -> the name that people say, where the two differ by more than a blank.
_SPOKEN = MappingProxyType({"stanfordbunny": "bunny"})
_BY_STEM = MappingProxyType({name.replace(" ", ""): name for name in THINGS})
#: Vertices nearer than this become one: invisible at a robot's distance, and three quarters of the triangles go.
_CELL_M = 0.0032
_UV_PER_METRE = 8.0
_RECORD = np.dtype([("normal", "<f4", 3), ("corners_m", "<f4", (3, 3)), ("attribute", "<u2")])


@dataclass(frozen=True)
class ThingMesh:
    """One everyday thing.

    Attributes:
        name: as people say it, "alarm clock".
        whole: all its triangles; serves physics.
        parts: what is drawn; the whole, or pieces that share its frame.
    """

    name: str
    whole: Mesh
    parts: tuple[Mesh, ...]


def read_stl(path: Path) -> np.ndarray:
    """Reads a binary STL file; returns its corners, float64 [F, 3, 3], metres.

    Raises:
        DataError: the file is missing, cut off, or not binary STL.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"mesh {path} cannot be read: {error.strerror or error}") from error
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    if count < 4 or len(data) < 84 + count * _RECORD.itemsize:
        raise DataError(f"mesh {path} is not a whole binary STL file of at least 4 triangles")
    corners = np.frombuffer(data, _RECORD, count, 84)["corners_m"].astype(np.float64)
    if not np.isfinite(corners).all() or np.ptp(corners.reshape(-1, 3), axis=0).max() > 2:
        raise DataError(f"mesh {path} must be finite and at most 2 m long (STL carries no unit; metres are meant)")
    return corners


def thin(corners_m: np.ndarray, cell_m: float = _CELL_M) -> Mesh:
    """Merges vertices that share a cell of a grid and drops triangles that lose their area.

    Args:
        corners_m: float [F, 3, 3].
        cell_m: side of a cell, metres.
    """
    points = corners_m.reshape(-1, 3)
    cells = np.round(points / cell_m).astype(np.int64)
    _, index = np.unique(cells, axis=0, return_inverse=True)
    index = index.reshape(-1)
    count = np.bincount(index)
    merged = np.stack([np.bincount(index, points[:, axis]) / count for axis in range(3)], -1)
    faces = index.reshape(-1, 3)
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (a != c)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(first)]
    return Mesh(merged, faces.astype(np.int32), np.zeros((len(merged), 2)))


def with_uv(mesh: Mesh, rng: np.random.Generator, scale: float = 1.0) -> Mesh:
    """Returns the mesh scaled, with texture coordinates from a projection along a drawn direction."""
    frame, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    points = mesh.vertices_m * scale
    return Mesh(points, mesh.faces, points @ frame[:, :2] * _UV_PER_METRE * rng.uniform(0.4, 1.6))


def spoken_name(stem: str) -> str:
    """What the thing in a file is called: "alarmclock" is "alarm clock"; an unknown stem is taken as it stands."""
    return _SPOKEN.get(stem) or _BY_STEM.get(stem) or stem.replace("-", " ")


def read_things(folder: str | Path = SHIPPED, kept_out: Collection[str] = KEPT_OUT) -> tuple[ThingMesh, ...]:
    """Reads every thing of a folder, by name, without those that are kept out.

    Args:
        folder: holds *.stl.
        kept_out: names that are left out, as people say them.

    Raises:
        DataError: no such folder, nothing in it, or a file that is no mesh.
    """
    folder = Path(folder)
    paths = {path.stem: path for path in sorted(folder.glob("*.stl"))}
    things = []
    for stem, path in paths.items():
        if ("_" in stem and stem.rsplit("_", 1)[0] in paths) or spoken_name(stem) in kept_out:
            continue
        parts = [paths[other] for other in paths if other.startswith(f"{stem}_")]
        whole = thin(read_stl(path))
        things.append(ThingMesh(spoken_name(stem), whole, tuple(thin(read_stl(part)) for part in parts) or (whole,)))
    if not things:
        raise DataError(f"{folder} holds no mesh (*.stl) that may be used")
    return tuple(things)


def read_thing(name: str, folder: str | Path = SHIPPED) -> ThingMesh:
    """Reads one thing by its name.

    Raises:
        DataError: the folder has no mesh of that name; the message lists those it has.
    """
    stems = {spoken_name(path.stem): path.stem for path in sorted(Path(folder).glob("*.stl"))}
    if name not in stems:
        raise DataError(f"no mesh of a {name!r} in {folder}, which has {', '.join(sorted(stems)) or 'none'}")
    whole = thin(read_stl(Path(folder) / f"{stems[name]}.stl"))
    return ThingMesh(name, whole, (whole,))
