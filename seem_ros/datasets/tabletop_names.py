# SPDX-License-Identifier: Apache-2.0
"""Names of the objects in recorded tabletop clips (Truth/<clip>/truth.json beside the DAVIS folders)."""

from __future__ import annotations

from pathlib import Path

from seem_ros.datasets.pictures import read_json, require_keys


def names_of_clip(folder: Path | str, clip: str) -> dict[int, str]:
    """Object id to name, "red mug"; empty where the set brings no truth file, as DAVIS itself.

    Raises:
        DataError: the truth file is there but cannot be used.
    """
    path = Path(folder) / "Truth" / clip / "truth.json"
    if not path.exists():
        return {}
    truth = read_json(path, "clip truth")
    require_keys(truth, ("instances",), str(path))
    for instance in truth["instances"]:
        require_keys(instance, ("id", "name", "isthing"), f"{path}, instance")
    return {int(one["id"]): one["name"] for one in truth["instances"] if one["isthing"]}
