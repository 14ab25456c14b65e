# SPDX-License-Identifier: Apache-2.0
import json

import cv2
import numpy as np
import pytest
from colour_backend import ColourBackend, scene

from seem_ros.datasets.media import open_media
from seem_ros.errors import DataError, PromptError
from seem_ros.perception.segmenter import Segmenter
from seem_ros.tools.segment import build_parser, build_prompts, main, run


def parse(*arguments):
    return build_parser().parse_args([str(a) for a in arguments])


def prompts(*arguments):
    return build_prompts(parse("x", "--out", "o", *arguments).parts)


def save(path, picture):
    assert cv2.imwrite(str(path), picture[:, :, ::-1])
    return path


def moving(count=8):
    return [scene({(20 + 4 * i, 40): "red", (100, 70): "blue"}) for i in range(count)]


def segment(*arguments):
    return run(parse(*arguments), Segmenter(ColourBackend()))


def test_every_option_is_an_object_of_its_own_unless_joined():
    asked = prompts(
        "--text",
        "the red mug",
        "--click",
        "210,96",
        "--negative-click",
        "5,6",
        "--box",
        "40,60,200,180",
        "--and",
        "--text",
        "cup",
    )
    assert [(p.text, len(p.clicks), len(p.boxes)) for p in asked] == [("the red mug", 0, 0), ("", 2, 0), ("cup", 0, 1)]
    assert asked[1].clicks[1].negative
    assert len(prompts("--scribble", "1,2,3,4", "--polygon", "0,0,9,0,9,9")) == 2


@pytest.mark.parametrize(
    "bad",
    [
        ("--click", "1"),
        ("--click", "a,b"),
        ("--box", "1,2,3"),
        ("--polygon", "0,0,1,1"),
        ("--scribble", "1,2,3"),
        ("--and", "--text", "a"),
        ("--negative-click", "1,1"),
        ("--text", "a", "--and", "--text", "b"),
    ],
)
def test_malformed_options_are_refused(bad):
    with pytest.raises(PromptError):
        prompts(*bad)


def test_a_picture_gives_a_mask_an_overlay_and_a_json(tmp_path, capsys):
    picture = save(tmp_path / "photo.png", scene({(30, 30): "red", (100, 60): "blue"}))
    asked = ("--text", "the red mug", "--click", "100,60", "--text", "yellow")
    assert segment(picture, *asked, "--out", tmp_path / "o") == 2
    labels = cv2.imread(str(tmp_path / "o/masks/photo.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(labels)) == {0, 1, 2} and (labels == 1).sum() == 256
    report = json.loads((tmp_path / "o/segments.json").read_text())
    assert report["frames"][0]["segments"][0]["label"] == "the red mug"
    assert report["frames"][0]["segments"][0]["box_xyxy_px"] == [22, 22, 38, 38]
    assert (tmp_path / "o/overlays/photo.jpg").is_file()
    assert "nothing found for 'yellow'" in capsys.readouterr().err


def test_a_folder_is_followed_in_natural_order(tmp_path):
    for i, picture in enumerate(moving(12)):
        save(tmp_path / f"f{i}.png", picture)
    assert segment(tmp_path, "--click", "20,40", "--out", tmp_path / "o") == 1
    report = json.loads((tmp_path / "o/segments.json").read_text())
    assert [f["name"] for f in report["frames"]] == [f"f{i}" for i in range(12)]
    columns = [round(f["segments"][0]["centroid_xy_px"][0] + 0.5) for f in report["frames"]]
    assert columns == [20 + 4 * i for i in range(12)]
    assert report["targets"][0]["frames_tracked"] >= 12
    assert (tmp_path / "o/contact_sheet.jpg").is_file() and (tmp_path / "o/overlay.mp4").stat().st_size > 1000


def test_a_second_run_into_the_folder_leaves_nothing_of_the_first(tmp_path):
    (tmp_path / "in").mkdir()
    for i, picture in enumerate(moving(4)):
        save(tmp_path / "in" / f"{i}.png", picture)
    segment(tmp_path / "in", "--text", "red", "--out", tmp_path / "out")
    segment(tmp_path / "in" / "2.png", "--text", "red", "--out", tmp_path / "out")
    listed = json.loads((tmp_path / "out" / "segments.json").read_text())["frames"]
    assert [one["name"] for one in listed] == [path.stem for path in (tmp_path / "out" / "masks").iterdir()] == ["2"]
    assert not (tmp_path / "out" / "overlay.mp4").exists() and not (tmp_path / "out" / "contact_sheet.jpg").exists()


def test_a_text_that_finds_nothing_at_first_is_tried_again(tmp_path):
    pictures = [scene({})] * 6 + moving(6)
    for i, picture in enumerate(pictures):
        save(tmp_path / f"{i:03d}.png", picture)
    assert segment(tmp_path, "--text", "red", "--out", tmp_path / "o", "--no-overlay") == 1
    assert not (tmp_path / "o/overlays").exists()


def test_a_video_is_followed(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (128, 96))
    for picture in moving():
        writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
    writer.release()
    assert segment(path, "--text", "red", "--frame", "2", "--limit", "6", "--out", tmp_path / "o") == 1
    frames = json.loads((tmp_path / "o/segments.json").read_text())["frames"]
    assert len(frames) == 6 and [len(f["segments"]) for f in frames] == [0, 0, 1, 1, 1, 1]
    assert frames[1]["stamp_ns"] == 100_000_000


def test_everything_can_be_named_from_a_vocabulary(tmp_path):
    picture = save(tmp_path / "photo.png", scene({(30, 30): "red", (100, 60): "blue"}))
    assert segment(picture, "--panoptic", "--vocabulary", "blue,green", "--out", tmp_path / "o") == 1


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_bag_is_followed(tmp_path, storage, compressed):
    pytest.importorskip("rosbags")
    path = write_bag(tmp_path / "bag", moving(), storage, compressed)
    assert segment(path, "--text", "red", "--out", tmp_path / "o") == 1
    frames = json.loads((tmp_path / "o/segments.json").read_text())["frames"]
    assert len(frames) == 8 and frames[1]["stamp_ns"] == 5_100_000_000
    with pytest.raises(DataError, match="no pictures on /nope; its image topics: /camera"):
        open_media(str(path), "/nope")
    inner = next(path.glob("*.mcap" if storage == "mcap" else "*.db3"))
    assert len(list(open_media(str(inner)).frames)) == 8


def write_bag(path, pictures, storage, compressed):
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    kind = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connection = writer.add_connection("/camera", kind, typestore=store)
        for i, picture in enumerate(pictures):
            stamp = types["builtin_interfaces/msg/Time"](5, i * 100_000_000)
            header = types["std_msgs/msg/Header"](stamp, "lens")
            if compressed:
                data = cv2.imencode(".png", picture[:, :, ::-1])[1].ravel()
                message = types[kind](header, "png", data)
            else:
                height, width = picture.shape[:2]
                bgr = np.ascontiguousarray(picture[:, :, ::-1]).ravel()
                message = types[kind](header, height, width, "bgr8", 0, width * 3, bgr)
            writer.write(connection, 5_000_000_000 + i * 100_000_000, store.serialize_cdr(message, kind))
    return path


@pytest.mark.parametrize("values", [(0, 1), (0, 7), (0, 255)], ids=str)
def test_a_mask_file_means_what_is_not_0_and_our_own_label_images_are_taken(tmp_path, values):
    picture = save(tmp_path / "photo.png", scene({(30, 30): "red", (100, 60): "blue"}))
    mask = np.zeros((96, 128), np.uint8)
    mask[24:36, 24:36] = values[1]
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    assert segment(picture, "--mask", tmp_path / "mask.png", "--out", tmp_path / "o") == 1
    ours = tmp_path / "o/masks/photo.png"
    assert segment(picture, "--mask", ours, "--out", tmp_path / "o2") == 1


def test_files_that_macos_leaves_and_broken_ones_are_skipped_and_said(tmp_path, capsys):
    for i, picture in enumerate(moving(5)):
        save(tmp_path / f"f{i}.png", picture)
        (tmp_path / f"._f{i}.png").write_bytes(b"\0\5\x16\7 Mac OS X")
    (tmp_path / "f2.png").write_bytes(b"broken")
    assert segment(tmp_path, "--text", "red", "--out", tmp_path / "o", "--no-overlay") == 1
    report = json.loads((tmp_path / "o/segments.json").read_text())
    assert [frame["name"] for frame in report["frames"]] == ["f0", "f1", "f3", "f4"]
    assert len(report["skipped"]) == 1 and "f2.png" in capsys.readouterr().err


def test_the_video_of_overlays_plays_in_a_browser(tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    for i, picture in enumerate(moving()):
        save(tmp_path / f"f{i}.png", picture[:95, :127])  # odd sides, as cropped pictures have
    segment(tmp_path, "--text", "red", "--out", tmp_path / "o")
    with av.open(str(tmp_path / "o/overlay.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert len(frames) == 8 and frames[0].shape == (96, 128, 3)


def test_coordinates_may_be_negative_and_a_limit_before_the_asked_frame_says_so(tmp_path, capsys):
    picture = str(save(tmp_path / "photo.png", scene({(30, 30): "red"})))
    out = ["--out", str(tmp_path / "o")]
    assert main([picture, "--box", "-10,-5,60,60", "--no-overlay", *out]) in (0, 1)
    assert json.loads((tmp_path / "o/segments.json").read_text())["prompts"] == ["--box -10,-5,60,60"]
    assert main([picture, "--text", "a", "--frame", "10", "--limit", "5", *out]) == 2
    assert "--limit 5 ends before frame 10" in capsys.readouterr().err


def test_sources_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, content in (("x.png", b"no picture"), ("x.mp4", b"no video"), ("x.mcap", b"no bag")):
        (tmp_path / name).write_bytes(content)
        if name != "x.mcap" or pytest.importorskip("rosbags"):
            with pytest.raises(DataError, match=name):
                list(open_media(str(tmp_path / name)).frames)
    with pytest.raises(DataError, match="holds no pictures"):
        open_media(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="does not exist"):
        open_media(str(tmp_path / "gone.mp4"))


def test_mistakes_end_with_status_two_and_one_sentence(tmp_path, capsys):
    picture = str(save(tmp_path / "photo.png", scene({(30, 30): "red"})))
    assert main([picture, "--out", str(tmp_path / "o")]) == 2
    assert "nothing is asked" in capsys.readouterr().err
    assert main([picture, "--text", "a", "--panoptic", "--out", str(tmp_path / "o")]) == 2
    assert main([str(tmp_path / "gone.png"), "--text", "a", "--out", str(tmp_path / "o")]) == 2
    with pytest.raises(DataError, match="no frame 50"):
        segment(tmp_path, "--text", "red", "--frame", "50", "--out", tmp_path / "o2")
