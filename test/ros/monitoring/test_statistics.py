# SPDX-License-Identifier: Apache-2.0
"""Times per stage, as /diagnostics gives them."""

import time

import pytest

from seem_ros.ros.monitoring.statistics import Statistics


def test_a_stage_does_not_count_what_the_stages_inside_it_took():
    statistics = Statistics()
    begin = time.perf_counter()
    with statistics.stage("total"):
        time.sleep(0.01)
        with statistics.stage("decode"):
            time.sleep(0.01)
            with statistics.stage("encode"):
                time.sleep(0.02)
        with statistics.stage("find"):
            time.sleep(0.01)
    whole_ms = 1e3 * (time.perf_counter() - begin)
    medians = {stage: times[0] for stage, times in statistics.milliseconds().items()}
    assert sum(medians.values()) == pytest.approx(whole_ms, abs=1)
    assert all(medians[stage] >= 10 for stage in ("total", "decode", "find")) and medians["encode"] >= 20


def test_a_stage_that_fails_counts_and_leaves_the_next_one_right():
    statistics = Statistics()
    with pytest.raises(ValueError, match="broken"), statistics.stage("decode"), statistics.stage("encode"):
        time.sleep(0.02)
        raise ValueError("broken")
    with statistics.stage("find"):
        time.sleep(0.01)
    medians = {stage: times[0] for stage, times in statistics.milliseconds().items()}
    assert medians["encode"] >= 20 > medians["find"] >= 10 > medians["decode"]
