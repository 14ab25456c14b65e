# SPDX-License-Identifier: Apache-2.0
"""No tool removes or overwrites what it did not make, and no name leads out of its folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from seem_ros.errors import DataError, ModelError, PackageError
from seem_ros.export.target import check_target, exchange
from seem_ros.files import MARKER, MadeFiles, check_name, claim_folder
from seem_ros.model.config import PICO
from seem_ros.model.seem import Seem
from seem_ros.runtime.spec import ModelSpec
from seem_ros.tools import export, segment

BAD_NAMES = ("", ".", "..", "../victim", "/etc", "a/b", "a\\b", ".hidden", " x", "x\n", "x" * 101, "a\0b", None, 7)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "mine.pt"
    torch.manual_seed(0)
    torch.save(Seem(PICO).state_dict(), path)
    return path


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    (tmp_path / "precious" / "photos").mkdir(parents=True)
    (tmp_path / "precious" / "thesis.txt").write_text("two years of work")
    (tmp_path / "precious" / "photos" / "a.jpg").write_bytes(b"x")
    return tmp_path / "precious"


def test_export_into_a_folder_that_is_no_package_is_refused_and_nothing_is_lost(checkpoint, precious, capsys):
    before = _tree(precious.parent)
    assert export.main([str(checkpoint), "--buckets", "1", "--out", str(precious)]) == 2
    assert "holds no model package" in capsys.readouterr().err
    assert _tree(precious.parent) == before


def test_export_by_a_link_to_a_folder_that_is_no_package_is_refused(checkpoint, precious, tmp_path):
    (tmp_path / "link").symlink_to(precious)
    before = _tree(precious)
    assert export.main([str(checkpoint), "--buckets", "1", "--out", str(tmp_path / "link")]) == 2
    assert _tree(precious) == before and (tmp_path / "link").is_symlink()


def test_eight_bits_for_a_package_are_refused_another_folder_and_the_package_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.yaml").write_text("format: 1\nmodel: {sha256: {}}\n")
    before = _tree(tmp_path)
    given = ["--precision", "int8", "--calibration", str(tmp_path), "--out", str(tmp_path / "mine")]
    with pytest.raises(SystemExit) as ended:
        export.main(["--package", str(tmp_path / "model"), *given])
    assert ended.value.code == 2 and "--out goes with a checkpoint or with --size" in capsys.readouterr().err
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("name", ["../victim", "..", "", "/etc", "a/b"])
def test_a_card_cannot_name_a_package_by_a_path(checkpoint, tmp_path, monkeypatch, capsys, name):
    (tmp_path / "here").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "data").write_text("x")
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "card.yaml").write_text(f"name: '{name}'\n")
    before = _tree(tmp_path)
    assert export.main([str(checkpoint), "--buckets", "1", "--card", "card.yaml"]) == 2
    assert "must be a name" in capsys.readouterr().err
    assert _tree(tmp_path) == before


def test_a_package_is_exchanged_and_what_lay_beside_its_own_files_stays(tmp_path):
    old, new = tmp_path / "model", tmp_path / "new"
    for folder, content in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "a.onnx").write_text(content)
        (folder / "model.yaml").write_text("format: 1\nmodel: {sha256: {a.onnx: '0', gone.onnx: '0'}}\n")
    (old / "gone.onnx").write_text("old")
    (old / "README.md").write_text("notes of two years")
    exchange(new, old)
    assert {name: text.decode() for name, text in _tree(old).items() if name != "model.yaml"} == {
        "a.onnx": "new",
        "README.md": "notes of two years",
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


def test_a_foreign_file_in_the_way_of_a_new_graph_is_kept_and_said_where(tmp_path):
    old, new = tmp_path / "model", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "model.yaml").write_text("format: 1\nmodel: {sha256: {}}\n")
        (folder / "decoder.onnx").write_text(folder.name)
    with pytest.raises(PackageError, match="in its way") as caught:
        exchange(new, old)
    assert (old / "decoder.onnx").read_text() == "new"
    kept = next(p for p in tmp_path.iterdir() if p != old)
    assert (kept / "decoder.onnx").read_text() == "model" and str(kept) in str(caught.value)


def test_targets_that_are_files_or_look_like_packages_but_are_none_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.yaml").write_text("my: notes\n")
    for name in ("file", "model"):
        with pytest.raises(PackageError):
            check_target(tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert check_target(tmp_path / "empty") == tmp_path / "empty"
    assert check_target(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_are_names_and_not_paths(name):
    with pytest.raises(DataError, match="must be a name"):
        check_name("a clip", name)


@pytest.mark.parametrize("name", ["lite", "focalt_v1", "my mug", "Tasse-3.1", "ü"])
def test_usual_names_are_taken_as_they_are(name):
    assert check_name("a clip", name) == name


def test_a_model_cannot_be_named_by_a_path():
    with pytest.raises(ModelError, match="must be a name"):
        ModelSpec.of_config(PICO, (256, 320), name="../victim")


def test_recording_under_a_path_writes_nothing(tmp_path, capsys):
    pytest.importorskip("mujoco")
    from seem_ros.tools import record

    for name in ("../victim", "/tmp/x", "..", ""):
        assert record.main(["--out", str(tmp_path / "out"), "--name", name, "--frames", "1"]) == 2
        assert "must be a name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_list_of_clips_is_added_to(tmp_path):
    from seem_ros.sim.clip_writer import write_list

    write_list(tmp_path, ["one"])
    write_list(tmp_path, ["two", "one"])
    assert (tmp_path / "ImageSets/2017/val.txt").read_text() == "one\ntwo\n"


def test_segmenting_into_a_folder_with_masks_of_somebody_elses_is_refused(tmp_path, capsys):
    (tmp_path / "data" / "masks").mkdir(parents=True)
    (tmp_path / "data" / "masks" / "photo.png").write_bytes(b"labelled by hand")
    assert cv2.imwrite(str(tmp_path / "data" / "photo.png"), np.zeros((48, 64, 3), np.uint8))
    before = _tree(tmp_path)
    source, out = str(tmp_path / "data" / "photo.png"), str(tmp_path / "data")
    assert segment.main([source, "--text", "mug", "--out", out]) == 2
    assert "did not make" in capsys.readouterr().err
    assert _tree(tmp_path) == before


def test_what_a_tool_made_it_may_write_again(tmp_path):
    claim_folder(tmp_path / "out", ["masks", "a.json"])
    (tmp_path / "out" / "masks").mkdir()
    (tmp_path / "out" / "a.json").write_text("{}")
    claim_folder(tmp_path / "out", ["masks", "a.json"])
    (tmp_path / "out" / "b.json").write_text("somebody's")
    with pytest.raises(DataError, match=r"b\.json"):
        claim_folder(tmp_path / "out", ["a.json", "b.json"])
    assert (tmp_path / "out" / MARKER).read_text() == "a.json\nmasks\n"


def test_two_pictures_of_one_stem_have_a_mask_each(tmp_path):
    from types import SimpleNamespace

    from seem_ros.perception.masks.compositing import finish
    from seem_ros.perception.structures.frame import Frame

    writer = segment.Writer(tmp_path / "out", SimpleNamespace(count=2, moving=False, rate_hz=1.0), overlays=False)
    for value in (1, 2):
        frame = Frame(np.zeros((8, 8, 3), np.uint8))
        writer.add("photo", frame, finish(np.full((8, 8), value, np.uint8), [], frame, "", ()))
    writer.close({})
    values = {p.name: int(cv2.imread(str(p), cv2.IMREAD_UNCHANGED).max()) for p in (tmp_path / "out/masks").iterdir()}
    assert values == {"photo.png": 1, "photo_2.png": 2}


def test_a_second_run_leaves_none_of_the_firsts_files_and_all_of_others(tmp_path):
    out = tmp_path / "out"
    for names in (("a", "b", "c"), ("b",)):
        claim_folder(out, ["masks"])
        with MadeFiles(out, ["masks"]) as made:
            (out / "masks").mkdir(exist_ok=True)
            for name in names:
                made.add(out / "masks" / name).write_text("made")
        (out / "masks" / "mine").write_text("somebody's")
    assert sorted(_tree(out / "masks")) == ["b", "mine"]
    (tmp_path / "precious").write_text("two years of work")
    (out / MARKER).write_text("masks\nmasks/../../precious\n")  # a list that was tampered with
    MadeFiles(out, ["masks"])
    assert (tmp_path / "precious").exists()


def test_measuring_into_a_folder_with_a_sheet_of_somebody_elses_is_refused(tmp_path, capsys):
    from seem_ros.tools import evaluate

    data = tmp_path / "set"
    for part in ("img", "gt"):
        (data / part).mkdir(parents=True)
        assert cv2.imwrite(str(data / part / "a.png"), np.eye(32, dtype=np.uint8) * 255)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "interactive.png").write_bytes(b"somebody's")
    assert evaluate.main(["--interactive", str(data), "--model", "none", "--out", str(tmp_path / "out")]) == 2
    assert "did not make" in capsys.readouterr().err
    assert (tmp_path / "out" / "interactive.png").read_bytes() == b"somebody's"
