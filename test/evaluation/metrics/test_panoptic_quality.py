# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.panoptic_quality import PanopticQuality, SegmentInfo

CLASSES, THINGS = ["mug", "ball", "table"], [True, True, False]


def ids(*rows):
    return np.array([[int(c) for c in row] for row in rows])


def info(segment_id, class_index, crowd=False):
    return SegmentInfo(segment_id, class_index, crowd)


def quality(*pictures):
    pq = PanopticQuality(CLASSES, THINGS)
    for picture in pictures:
        pq.add(*picture)
    return pq


def test_a_perfect_picture_scores_one():
    truth = ids("1133", "2233")
    records = [info(1, 0), info(2, 1), info(3, 2)]
    summary = quality((truth, records, truth, records)).summary()
    assert summary["PQ"] == summary["PQ_th"] == summary["PQ_st"] == summary["SQ"] == summary["RQ"] == 1.0


def test_one_match_one_missed_and_one_invented_give_the_worked_quality():
    # Truth: mug 1 (4 px), mug 2 (2 px). Ours: mug 5 covers 3 of the first, mug 6 lies elsewhere.
    truth = [info(1, 0), info(2, 0), info(3, 2)]
    pq = quality((ids("55500600"), [info(5, 0), info(6, 0)], ids("11113322"), truth))
    mug = pq.per_class()["mug"]
    assert (mug.true_positives, mug.false_positives, mug.false_negatives) == (1, 1, 1)
    assert mug.sq == pytest.approx(3 / 4)
    assert mug.rq == pytest.approx(1 / (1 + 0.5 + 0.5))
    assert mug.pq == pytest.approx(0.375)
    # Table: missed, so PQ 0; ball does not occur and is left out: mean of 0.375 and 0.
    assert pq.summary()["PQ"] == pytest.approx(0.1875)
    assert pq.summary()["classes"] == 2


def test_an_iou_of_exactly_one_half_is_no_match():
    pq = quality((ids("5500"), [info(5, 0)], ids("1111"), [info(1, 0)]))
    assert pq.per_class()["mug"].true_positives == 0


def test_the_right_place_with_the_wrong_class_is_a_miss_and_an_invention():
    pq = quality((ids("55"), [info(5, 1)], ids("11"), [info(1, 0)]))
    assert pq.per_class()["mug"].false_negatives == 1 and pq.per_class()["ball"].false_positives == 1


def test_void_pixels_do_not_lower_a_matched_segments_iou():
    # Prediction: 3 px on the mug and 2 on void: IoU is 3/3, not 3/5.
    pq = quality((ids("555550"), [info(5, 0)], ids("111003"), [info(1, 0), info(3, 2)]))
    assert pq.per_class()["mug"].sq == 1.0


def test_a_prediction_mostly_on_void_is_not_held_against_us():
    pq = quality((ids("5551"), [info(5, 0), info(1, 2)], ids("0033"), [info(3, 2)]))
    # Segment 5: 2 of 3 px on void, so ignored. Segment 1: IoU 1/2 with the table, so invented.
    assert pq.per_class()["mug"].false_positives == 0
    assert pq.per_class()["table"].false_positives == 1


def test_a_prediction_half_on_void_counts_as_invented():
    pq = quality((ids("5500"), [info(5, 0)], ids("0333"), [info(3, 2)]))
    assert pq.per_class()["mug"].false_positives == 1


def test_a_crowd_is_neither_missed_nor_are_predictions_inside_it_invented():
    pq = quality((ids("5500"), [info(5, 0)], ids("1111"), [info(1, 0, crowd=True)]))
    mug = pq.per_class()["mug"]
    assert (mug.true_positives, mug.false_positives, mug.false_negatives) == (0, 0, 0)


def test_an_id_without_a_record_is_refused():
    with pytest.raises(DataError, match="without a record"):
        quality((ids("57"), [info(5, 0)], ids("11"), [info(1, 0)]))


def test_a_record_without_pixels_is_refused():
    with pytest.raises(DataError, match="no pixel"):
        quality((ids("55"), [info(5, 0), info(6, 0)], ids("11"), [info(1, 0)]))


def test_an_unknown_class_is_refused():
    with pytest.raises(DataError, match="class 3"):
        quality((ids("55"), [info(5, 3)], ids("11"), [info(1, 0)]))


def test_pictures_of_different_sizes_are_refused():
    with pytest.raises(DataError, match="must be"):
        quality((ids("555"), [info(5, 0)], ids("11"), [info(1, 0)]))


def test_nothing_seen_gives_nan():
    assert np.isnan(PanopticQuality(CLASSES, THINGS).summary()["PQ"])
