# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from seem_ros.errors import DataError
from seem_ros.evaluation.metrics.by_size import SizedMean, size_stratum
from seem_ros.evaluation.metrics.presence import PresenceScores
from seem_ros.evaluation.metrics.reidentification import MemoryScores


def blob(column, shape=(10, 40)):
    mask = np.zeros(shape, bool)
    mask[3:7, column : column + 4] = True
    return mask


NOTHING = np.zeros((10, 40), bool)


def test_presence_rates_of_five_worked_answers():
    scores = PresenceScores()
    for is_present, found in ((True, True), (True, False), (False, False), (False, True), (False, False)):
        scores.add(is_present, found)
    summary = scores.summary()
    assert summary["false_found"] == pytest.approx(1 / 3)
    assert summary["missed"] == pytest.approx(1 / 2)
    assert summary["accuracy"] == pytest.approx(3 / 5)


def test_presence_without_absent_things_has_no_rate():
    assert np.isnan(PresenceScores().false_found_rate)


def test_a_mask_claimed_while_hidden_is_a_false_find():
    scores = MemoryScores()
    a = blob(0)
    scores.add([a, NOTHING, a, a], [a, NOTHING, NOTHING, a])
    summary = scores.summary()
    assert summary["hidden_frames"] == 2 and summary["false_finds_while_hidden"] == 0.5
    assert summary["returns"] == 1 and summary["found_again"] == 1.0


def test_an_object_not_found_within_patience_is_lost():
    scores = MemoryScores()
    a = blob(0)
    scores.add([a, NOTHING, NOTHING, NOTHING, a], [a, NOTHING, a, a, a], patience=2)
    assert scores.summary()["found_again"] == 0.0


def test_a_jump_to_the_twin_and_back_and_again_is_two_switches():
    own, twin = blob(0), blob(20)
    scores = MemoryScores()
    answers = [own, twin, twin, own, twin]
    scores.add(answers, [own] * 5, [[twin]] * 5)
    summary = scores.summary()
    assert summary["id_switches"] == 2 and summary["frames_on_twin"] == pytest.approx(3 / 4)


def test_taking_the_twin_while_the_object_is_hidden_is_a_switch_and_a_false_find():
    own, twin = blob(0), blob(20)
    scores = MemoryScores()
    scores.add([own, twin], [own, NOTHING], [[twin]] * 2)
    assert scores.summary()["id_switches"] == 1 and scores.summary()["false_finds_while_hidden"] == 1.0


def test_an_object_hidden_from_the_start_is_refused():
    with pytest.raises(DataError, match="first frame"):
        MemoryScores().add([NOTHING], [NOTHING])


def test_sizes_are_shares_of_the_picture():
    def of(pixels):
        mask = np.zeros(10000, bool)
        mask[:pixels] = True
        return mask.reshape(100, 100)

    assert [size_stratum(of(n)) for n in (39, 40, 119, 120)] == ["small", "medium", "medium", "large"]
    mean = SizedMean()
    mean.add(0.5, of(10))
    mean.add(1.0, of(1000))
    assert mean.summary() == {"all": 0.75, "n": 2, "small": 0.5, "n_small": 1, "large": 1.0, "n_large": 1}
