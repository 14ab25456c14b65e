# SPDX-License-Identifier: Apache-2.0
"""Against results of the official functions (synthetic logits; no network needed)."""

import json
from pathlib import Path

import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.perception.masks.panoptic import instances, panoptic, resize, resize_matrix, semantic, sigmoid, to_image

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "golden_postproc.npz")
META = json.loads(str(GOLDEN["meta"]))
THINGS = np.arange(133) < 80


@pytest.mark.parametrize("name, thresholds", [("eval", (0.8, 0.8)), ("demo", (0.4, 0.8)), ("loose", (0.0, 0.0))])
def test_panoptic_segments_are_the_official_ones(name, thresholds):
    ids, segments = panoptic(GOLDEN["mask_cls"], GOLDEN["mask_pred"], THINGS, *thresholds)
    assert (ids == GOLDEN[f"panoptic_{name}"]).all()
    ours = [{"id": s.id, "isthing": s.isthing, "category_id": s.category_id} for s in segments]
    assert ours == META[f"segments_{name}"]


def test_panoptic_of_queries_that_found_nothing_is_empty():
    logits = np.zeros((3, 5), np.float32)
    logits[:, -1] = 9
    ids, segments = panoptic(logits, np.ones((3, 4, 4), np.float32), np.ones(4, bool))
    assert not ids.any() and segments == ()


def test_stuff_of_one_class_is_one_segment_of_all_its_queries():
    logits = np.full((2, 3), -9, np.float32)
    logits[:, 1] = 9
    masks = np.full((2, 4, 4), -9, np.float32)
    masks[0, :2], masks[1, 2:] = 9, 9
    ids, segments = panoptic(logits, masks, np.array([True, False]))
    assert (ids == 1).all() and segments[0].queries == (0, 1)
    ids, segments = panoptic(logits, masks, np.array([True, True]))
    assert ids.max() == 2 and [s.queries for s in segments] == [(0,), (1,)]


def test_semantic_scores_are_the_official_ones():
    scores = semantic(GOLDEN["mask_cls"], GOLDEN["mask_pred"])
    assert (scores.argmax(0) == GOLDEN["semantic_argmax"]).all()
    assert np.abs(scores[56] - GOLDEN["semantic_c56"]).max() < 1e-6


def test_instances_are_the_official_ones():
    scores, classes, masks = instances(GOLDEN["mask_cls"], GOLDEN["mask_pred"], THINGS)
    official = np.unpackbits(GOLDEN["inst_masks"], axis=-1, count=80).astype(bool)
    assert np.abs(scores - GOLDEN["inst_scores"]).max() < 1e-6
    assert (classes == GOLDEN["inst_classes"]).all() and (masks == official).all()


def test_the_antialiased_cubic_resize_is_torchs_up_and_down():
    cropped = GOLDEN["mask_pred"][:4, :50, :70]
    assert np.abs(resize(cropped, (77, 101), "bicubic_antialias") - GOLDEN["resize_up"]).max() < 1e-4
    assert np.abs(resize(cropped, (23, 31), "bicubic_antialias") - GOLDEN["resize_down"]).max() < 1e-4


def test_both_resizes_equal_torchs():
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).normal(size=(2, 13, 17)).astype(np.float32)
    for size in ((60, 80), (5, 6), (13, 40), (1, 1)):
        for method, options in (("bilinear", {}), ("bicubic_antialias", {"antialias": True})):
            theirs = torch.nn.functional.interpolate(
                torch.from_numpy(maps)[None], size, mode=method.split("_")[0], align_corners=False, **options
            )[0].numpy()
            assert np.abs(resize(maps, size, method) - theirs).max() < 2e-5


def test_a_mask_goes_to_the_image_over_the_padded_size():
    logits = np.full((1, 8, 8), -5, np.float32)
    logits[0, :4, :4] = 5
    full = to_image(logits, (32, 32), (16, 24), (64, 96))
    assert full.shape == (1, 64, 96) and (full[0, :56, :56] > 0).all() and (full[0, :, 72:] < 0).all()


def test_impossible_resizes_are_refused():
    with pytest.raises(DataError):
        resize_matrix(0, 3, "bilinear")
    with pytest.raises(DataError, match="nearest"):
        resize_matrix(3, 3, "nearest")


def test_sigmoid_does_not_overflow():
    with np.errstate(over="raise"):
        assert sigmoid(np.float32([-1e4, 0, 1e4])).tolist() == [0.0, 0.5, 1.0]
