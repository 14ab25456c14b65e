# SPDX-License-Identifier: Apache-2.0
"""Objects that are taught: what they are called, how they outlive the process, and what the disk may do to them."""

import contextlib
import ctypes
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from seem_ros.perception.objects.memory import ObjectMemory
from seem_ros.perception.objects.taught import MAX_SIDE_PX, MAX_VIEWS, ObjectError, TaughtView


def view(stamp_ns=1, colour=(220, 30, 30), size=(96, 128), area=(slice(20, 50), slice(30, 70))):
    rgb = np.full((*size, 3), 90, np.uint8)
    mask = np.zeros(size, bool)
    mask[area] = True
    rgb[mask] = colour
    return TaughtView(rgb, mask, stamp_ns)


def names(memory):
    return [one.name for one in memory.objects()]


def left_on_disk(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_was_taught_is_there_again_pixel_by_pixel_after_a_restart(tmp_path):
    ObjectMemory(tmp_path / "objects").teach("my mug", view(7))
    again = ObjectMemory(tmp_path / "objects")
    assert again.problems == [] and names(again) == ["my mug"]
    back, first = again.get("my mug").views[0], view(7)
    np.testing.assert_array_equal(back.rgb, first.rgb)
    np.testing.assert_array_equal(back.mask, first.mask)
    assert back.taught_ns == 7


@pytest.mark.parametrize("text", ["my mug", "My  Mug", " the my mug", "MY MUG"])
def test_case_spaces_and_an_article_do_not_make_another_name(tmp_path, text):
    memory = ObjectMemory(tmp_path)
    memory.teach("My mug", view())
    assert memory.get(text).name == "My mug" and memory.get("mug") is None


def test_a_second_lesson_adds_a_view_and_replace_starts_over(tmp_path):
    memory = ObjectMemory(tmp_path)
    memory.teach("mug", view(1))
    assert len(memory.teach("the MUG", view(2)).views) == 2
    assert [one.taught_ns for one in ObjectMemory(tmp_path).get("mug").views] == [1, 2]
    memory.teach("mug", view(3), replace=True)
    assert [one.taught_ns for one in ObjectMemory(tmp_path).get("mug").views] == [3]


def test_forgetting_takes_it_off_the_disk_and_leaves_what_is_not_ours(tmp_path):
    memory = ObjectMemory(tmp_path)
    for name in ("mug", "box"):
        memory.teach(name, view())
    note = next(tmp_path.glob("mug-*")) / "note.txt"
    note.write_text("mine")
    assert memory.forget("mug") == ("box",)
    assert names(ObjectMemory(tmp_path)) == ["box"] and note.read_text() == "mine"
    assert not [path for path in left_on_disk(tmp_path) if "picture.png" in path and "mug" in path]


def test_one_view_of_several_can_be_forgotten(tmp_path):
    memory = ObjectMemory(tmp_path)
    for stamp_ns in (1, 2, 3):
        memory.teach("mug", view(stamp_ns))
    memory.forget("mug", (1,))
    assert [one.taught_ns for one in ObjectMemory(tmp_path).get("mug").views] == [1, 3]
    with pytest.raises(ObjectError, match="has views 0 to 1, got 2"):
        memory.forget("mug", (0, 2))
    assert len(memory.get("mug").views) == 2


def test_forgetting_what_nobody_taught_names_what_is_known(tmp_path):
    memory = ObjectMemory(tmp_path)
    with pytest.raises(ObjectError, match="no object 'cup' is remembered; remembered are: none"):
        memory.forget("cup")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "needs a letter or a digit"),
        ("../..", "needs a letter or a digit"),
        ("m" * 10_000, "100 characters, got 10000"),
        ("a\x00b", "cannot be printed"),
        ("a\u202eb", "cannot be printed"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(tmp_path, name, words):
    memory = ObjectMemory(tmp_path / "objects")
    with pytest.raises(ObjectError, match=words):
        memory.teach(name, view())
    assert left_on_disk(tmp_path) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "C:\\mug", ".hidden mug", "Becher ä", "我的杯子", "con"])
def test_any_readable_name_stays_inside_its_folder_and_comes_back_as_it_was(tmp_path, name):
    folder = tmp_path / "deep" / "objects"
    ObjectMemory(folder).teach(name, view())
    assert {path.split("/")[0] for path in left_on_disk(tmp_path)} == {"deep"}
    assert names(ObjectMemory(folder)) == [name]


def test_names_that_look_alike_on_disk_are_different_objects(tmp_path):
    memory = ObjectMemory(tmp_path)
    for name in ("杯", "碗", "a b", "a-b"):
        memory.teach(name, view())
    assert len(ObjectMemory(tmp_path)) == 4


def test_an_empty_mask_is_refused_with_its_size():
    with pytest.raises(ObjectError, match="at least 64 pixels, the mask has 0"):
        view(area=(slice(0, 0), slice(0, 0)))


def test_what_is_too_small_once_its_picture_is_reduced_is_refused_and_not_lost_at_the_next_start(tmp_path):
    with pytest.raises(ObjectError, match=r"the mask has \d+ in the picture reduced to 1920 pixels a side"):
        view(size=(2160, 3840), area=(slice(1000, 1015), slice(2000, 2015)))
    ObjectMemory(tmp_path).teach("screw", view(size=(2160, 3840), area=(slice(1000, 1020), slice(2000, 2020))))
    assert names(ObjectMemory(tmp_path)) == ["screw"]


def damage_picture(folder):
    data = bytearray((folder / "picture.png").read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "picture.png").write_bytes(data)


def cut_picture(folder):
    data = (folder / "picture.png").read_bytes()
    (folder / "picture.png").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    "damage",
    [
        damage_picture,
        cut_picture,
        lambda folder: (folder / "mask.png").unlink(),
        lambda folder: (folder / "view.json").write_text("{"),
        lambda folder: (folder / "view.json").write_text("[]"),
        lambda folder: (folder / "view.json").write_text('{"format": 9, "name": "x", "taught_ns": 1, "sha256": {}}'),
        lambda folder: (folder / "view.json").write_bytes(b"\xff" * 100),
        lambda folder: (folder / "view.json").write_bytes(b" " * 20_000),
    ],
    ids=["flipped byte", "cut off", "no mask", "half a record", "no record", "later format", "no text", "huge record"],
)
def test_a_broken_view_is_left_out_and_named_and_the_others_are_read(tmp_path, damage):
    memory = ObjectMemory(tmp_path)
    memory.teach("good", view())
    memory.teach("bad", view())
    broken = next(path for path in tmp_path.glob("bad-*/*"))
    damage(broken)
    again = ObjectMemory(tmp_path)
    assert names(again) == ["good"]
    assert len(again.problems) == 1 and str(broken) in again.problems[0]


@contextlib.contextmanager
def without_rights_of_root():
    """Files are opened as by a user who owns none of them."""
    libc = ctypes.CDLL(None)
    before = libc.setfsuid(65534 if os.geteuid() == 0 else -1)
    try:
        yield
    finally:
        libc.setfsuid(before)


def test_a_folder_of_somebody_else_is_left_out_and_named_and_the_others_are_read(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are open to their owner alone
    ObjectMemory(Path("objects")).teach("mug", view())
    Path("objects/lost+found").mkdir(mode=0o000)
    try:
        with without_rights_of_root():
            again = ObjectMemory(Path("objects"))
    finally:
        Path("objects/lost+found").chmod(0o700)
    assert names(again) == ["mug"]
    assert again.problems == ["objects/lost+found is left out: Permission denied"]


def test_a_lesson_that_was_cut_off_by_a_power_cut_leaves_no_trace_in_memory(tmp_path):
    memory = ObjectMemory(tmp_path)
    memory.teach("mug", view())
    half = tmp_path / ".new-0123"
    shutil.copytree(next(tmp_path.glob("mug-*/*")), half)
    (half / "view.json").unlink()
    again = ObjectMemory(tmp_path)
    assert names(again) == ["mug"] and again.problems == []


def test_a_full_disk_is_said_and_leaves_everything_as_it_was(tmp_path):
    memory = ObjectMemory(tmp_path)
    memory.teach("mug", view())
    before = left_on_disk(tmp_path)
    random = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as a disk that takes no more than this
    try:
        with pytest.raises(ObjectError, match=r"'box' cannot be kept in .*: File too large"):
            memory.teach("box", TaughtView(random, np.ones((400, 400), bool), 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_on_disk(tmp_path) == before and names(memory) == ["mug"]
    memory.teach("box", view())


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    memory = ObjectMemory(tmp_path / "file" / "objects")
    with pytest.raises(ObjectError, match="cannot be kept in"):
        memory.teach("mug", view())
    assert len(memory) == 0


def test_a_folder_of_the_kernel_that_nobody_may_write_is_said():
    memory = ObjectMemory(Path("/proc/objects"))
    with pytest.raises(ObjectError, match="cannot be kept in /proc/objects"):
        memory.teach("mug", view())


def test_memory_without_a_folder_works_until_the_process_ends():
    memory = ObjectMemory()
    memory.teach("mug", view())
    assert names(memory) == ["mug"] and memory.forget("mug") == ()


def test_there_is_room_for_sixteen_views_and_the_next_is_refused(tmp_path):
    memory = ObjectMemory(tmp_path)
    for stamp_ns in range(MAX_VIEWS):
        memory.teach("mug", view(stamp_ns))
    with pytest.raises(ObjectError, match="1 to 16 views, got 17"):
        memory.teach("mug", view(99))
    assert len(ObjectMemory(tmp_path).get("mug").views) == MAX_VIEWS


def test_a_large_picture_is_reduced_with_its_mask():
    large = view(size=(1000, 3840), area=(slice(0, 500), slice(0, 1920)))
    assert max(large.mask.shape) == MAX_SIDE_PX and large.rgb.shape[:2] == large.mask.shape
    assert large.mask.mean() == pytest.approx(0.25, abs=0.01)


def test_a_thumbnail_shows_the_object_in_the_middle_and_dims_the_rest():
    small = view(area=(slice(0, 20), slice(0, 20))).thumbnail(64)
    assert small.shape == (64, 64, 3)
    assert tuple(small[32, 32]) == (220, 30, 30) and small[1, 1].max() < 60


def test_the_memory_does_not_change_when_the_cameras_buffer_does():
    rgb, mask = np.full((50, 50, 3), 10, np.uint8), np.ones((50, 50), bool)
    kept = TaughtView(rgb, mask, 1)
    rgb[:], mask[:] = 0, False
    assert kept.rgb.max() == 10 and kept.mask.all()
