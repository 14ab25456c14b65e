# SPDX-License-Identifier: Apache-2.0
"""What a run keeps of its losses."""

from seem_ros.training.progress import Curve


def test_the_curve_is_a_table_with_one_header_and_a_picture(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    curve.add({"step": 20, "images": 320, "loss": 4.5, "mask1": 2.0})
    curve.add({"step": 40, "images": 640, "loss": 3.5, "mask1": 1.0})
    assert [r["loss"] for r in curve.rows()] == [4.5, 3.5]
    assert (tmp_path / "curve.csv").read_text().count("step") == 1
    curve.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
