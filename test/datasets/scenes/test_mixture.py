# SPDX-License-Identifier: Apache-2.0
"""Many sources as one stream of training clips: views, pasted things, weights, refusals before anything is written."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from seem_ros.datasets.scenes.label_folder import LabelFolder
from seem_ros.datasets.scenes.mixture import Mixture, SourceSpec, open_sources
from seem_ros.datasets.scenes.pasting import PasteConfig, collect, paste
from seem_ros.datasets.scenes.views import ViewConfig, two_views
from seem_ros.errors import DataError


def test_views_of_a_still_differ_and_keep_every_label_on_its_colour(labels):
    clip = LabelFolder(labels).draw(0, np.random.default_rng(0))
    rng = np.random.default_rng(3)
    moved = 0
    for _ in range(12):
        view = two_views(clip, rng, 64, 96)
        assert view.rgb.shape == (2, 64, 96, 3) and set(np.unique(view.ids)) <= {0, 1, 2, 255}
        moved += (view.ids[0] != view.ids[1]).any()
        for frame in range(2):
            for value, channel in ((1, 0), (2, 2)):
                inside = cv2.erode((view.ids[frame] == value).astype(np.uint8), np.ones((7, 7))) > 0
                if inside.any():
                    assert view.rgb[frame][inside].mean(0).argmax() == channel
    assert moved > 8


def test_a_window_never_leaves_a_picture_that_is_large_enough(labels):
    clip = LabelFolder(labels).draw(0, np.random.default_rng(0))
    config = ViewConfig(whole_share=0, turn_deg=0)
    for seed in range(10):
        view = two_views(clip, np.random.default_rng(seed), 48, 64, config)
        assert (view.rgb.max(-1) == 0).mean() < 0.1  # the corners of the first small turn at most


def test_pasted_things_are_named_new_and_hide_what_lies_behind(labels):
    source = LabelFolder(labels)
    clip = source.draw(0, np.random.default_rng(0))
    cutouts = collect(source, 10)
    assert {one.name for one in cutouts} == {"mug", "box"}
    pasted = paste(clip, cutouts, np.random.default_rng(5), PasteConfig(share=1, most=4))
    new = [thing for thing in pasted.things if thing.id > 2]
    assert new and all(thing.shape in ("mug", "box") for thing in new)
    assert set(np.unique(pasted.ids)) - {0, 1, 2, 255} <= {thing.id for thing in new}
    assert (pasted.ids[0] != pasted.ids[1]).any() and (clip.ids[0] == clip.ids[1]).all()
    assert not pasted.absent("mug")


def test_weights_decide_how_often_a_source_is_drawn(tmp_path, write_labels):
    small, large = write_labels(tmp_path / "real" / "a"), write_labels(tmp_path / "real" / "b", frames=8)
    assert small.exists() and large.exists()
    mix = Mixture([SourceSpec("labels", str(tmp_path / "real"), power=1.0)])
    assert mix.shares.tolist() == pytest.approx([0.2, 0.8])
    assert Mixture([SourceSpec("labels", str(tmp_path / "real"), power=0.0)]).shares.tolist() == pytest.approx(
        [0.5, 0.5]
    )
    left = open_sources(SourceSpec("labels", str(tmp_path / "real"), leave_out=("b",)))
    assert [source.name for source, _ in left] == ["a"]
    clip = mix.draw(np.random.default_rng(0), 64, 96)
    assert clip.rgb.shape == (2, 64, 96, 3) and mix.names == ("box", "mug", "toy")


def test_the_same_generator_draws_the_same_clip(labels):
    mix = Mixture([SourceSpec("labels", str(labels))], cutouts=collect(LabelFolder(labels), 4))
    one, two = (mix.draw(np.random.default_rng(9), 64, 96) for _ in range(2))
    assert (one.rgb == two.rgb).all() and (one.ids == two.ids).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "zip", "path": "x"}, "kind is one of"),
        ({"kind": "labels"}, "needs kind and path"),
        ({"kind": "labels", "path": "x", "wait": 1}, "no field 'wait'"),
        ({"kind": "labels", "path": "x", "weight": 0}, "weight must be above 0"),
    ],
)
def test_a_wrong_line_of_the_mix_is_refused(values, said):
    with pytest.raises(DataError, match=said):
        SourceSpec.of(values)


def test_a_folder_without_labels_and_a_misspelt_exception_are_named(tmp_path, labels):
    with pytest.raises(DataError, match=r"holds no index\.json"):
        open_sources(SourceSpec("labels", str(tmp_path / "labels" / "images")))
    with pytest.raises(DataError, match="no folder 'snacks'"):
        open_sources(SourceSpec("labels", str(tmp_path), leave_out=("snacks",)))
