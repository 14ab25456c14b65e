# SPDX-License-Identifier: Apache-2.0
"""Training clips."""

import json
import os

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.sim import dataset
from seem_ros.sim.vocabulary import HELD_OUT_PAIRS

pytestmark = pytest.mark.usefixtures("gl")


def _make(folder, *more: str) -> int:
    return dataset.main(
        ["--out", str(folder), "--scenes", "3", "--seed", "4", "--height", "120", "--width", "160", *more]
    )


def _read(folder):
    return (
        np.load(folder / "shard_0000004.rgb.npy", mmap_mode="r"),
        np.load(folder / "shard_0000004.ids.npy", mmap_mode="r"),
        json.loads((folder / "shard_0000004.json").read_text()),
    )


def test_a_shard_has_pictures_ids_and_names_that_belong_together(tmp_path):
    assert _make(tmp_path) == 0
    rgb, ids, meta = _read(tmp_path)
    assert rgb.shape == (3, 3, 120, 160, 3) and ids.shape == (3, 3, 120, 160)
    assert not list(tmp_path.glob(".*"))
    for clip, record in zip(ids, meta["clips"], strict=True):
        known = [item["id"] for item in record["instances"]]
        assert known == list(range(1, len(known) + 1)) and set(np.unique(clip)) <= {0, *known}
        assert [item["name"] for item in record["instances"] if not item["isthing"]] == meta["stuff"]
        assert all((item["colour"], item["shape"]) not in HELD_OUT_PAIRS for item in record["instances"])


def test_the_same_seed_gives_the_same_shard(tmp_path):
    _make(tmp_path / "a")
    _make(tmp_path / "b")
    for one, other in zip(_read(tmp_path / "a"), _read(tmp_path / "b"), strict=True):
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_a_finished_shard_is_not_made_again(tmp_path):
    _make(tmp_path)
    before = os.stat(tmp_path / "shard_0000004.rgb.npy").st_mtime_ns
    _make(tmp_path)
    assert os.stat(tmp_path / "shard_0000004.rgb.npy").st_mtime_ns == before


@pytest.mark.parametrize("other", [("--split", "val"), ("--height", "96"), ("--scenes", "2")])
def test_a_shard_that_was_made_otherwise_is_not_taken_for_what_is_asked_for(tmp_path, capsys, other):
    _make(tmp_path)
    assert _make(tmp_path, *other) == 2
    said = capsys.readouterr().err
    assert "is there already, with" in said and "another --out or --seed" in said


def test_a_full_disk_is_one_clear_error_and_leaves_no_shard(tmp_path, monkeypatch):
    def full(path, _):
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    monkeypatch.setattr(dataset.np, "save", full)
    with pytest.raises(DataError, match="No space left"):
        dataset.write_shard(tmp_path, "shard", 0, dataset.tabletop_clips(1, 0, "train", 60, 80))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert _make(tmp_path / "file" / "deeper") == 2
    assert "cannot be made" in capsys.readouterr().err


def test_a_wrong_count_is_refused(tmp_path, capsys):
    assert dataset.main(["--out", str(tmp_path), "--scenes", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_a_shard_of_clutter_shows_meshes_by_name_and_never_those_kept_out(tmp_path):
    assert _make(tmp_path, "--scene", "clutter") == 0
    rgb, ids, meta = _read(tmp_path)
    assert rgb.shape == (3, 2, 120, 160, 3) and "hammer" in meta["shapes"] and meta["stuff"][-1] == "tote"
    shown = {item["shape"] for record in meta["clips"] for item in record["instances"] if item["isthing"]}
    assert shown & {"banana", "duck", "hammer", "camera", "wine glass"}
    assert not {"binoculars", "stapler", "teapot"} & {*shown, *meta["shapes"]}
    for clip, record in zip(ids, meta["clips"], strict=True):
        seen = [item for item in record["instances"] if item["isthing"] and (clip[0] == item["id"]).sum() > 20]
        assert len(seen) >= 3 and set(np.unique(clip)) <= {0, *(item["id"] for item in record["instances"])}


def test_the_same_seed_gives_the_same_clutter_and_kept_out_names_can_be_chosen(tmp_path):
    for name in ("a", "b"):
        _make(tmp_path / name, "--scene", "clutter", "--keep-out", "duck")
    for one, other in zip(_read(tmp_path / "a"), _read(tmp_path / "b"), strict=True):
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
    assert "stapler" in _read(tmp_path / "a")[2]["shapes"] and "duck" not in _read(tmp_path / "a")[2]["shapes"]


def test_clutter_without_meshes_or_with_a_broken_one_names_the_file_and_leaves_nothing(tmp_path, capsys):
    meshes, out = tmp_path / "meshes", tmp_path / "out"
    meshes.mkdir()
    assert _make(out, "--scene", "clutter", "--meshes", str(meshes)) == 2
    assert "holds no mesh" in capsys.readouterr().err
    (meshes / "spoon.stl").write_bytes(b"solid spoon")
    assert _make(out, "--scene", "clutter", "--meshes", str(meshes)) == 2
    assert "spoon.stl is not a whole binary STL" in capsys.readouterr().err
    assert not list(out.iterdir())
