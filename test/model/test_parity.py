# SPDX-License-Identifier: Apache-2.0
"""FocalNet-T against recorded numbers of the official code, with weights made from the tensors' names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from model_cases import DATA

from seem_ros.errors import DataError
from seem_ros.tools.parity.__main__ import check_fixture, main
from seem_ros.tools.parity.fixtures import Fixture, subsampled
from seem_ros.tools.parity.report import ParityReport
from seem_ros.tools.parity.runner import Runner

FILES = sorted(p for p in DATA.glob("golden_focalt_*.npz"))


def bank() -> np.ndarray:
    """The class bank that all fixtures were recorded with."""
    return np.load(DATA / "golden_lang.npz")["bank134"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem.removeprefix("golden_"))
def test_our_numbers_are_the_official_ones_for(path: Path, focalt):
    fixture = Fixture(path)
    runner = Runner(focalt.with_rules(fixture.variant.split("_")[1]), bank())
    report = check_fixture(fixture, runner, None)
    assert report.ok, "\n".join([report.summary(), *(f"{x.name}: {x.text}" for x in report.lines if not x.ok)])


def test_our_texts_are_the_official_ones(focalt):
    report = check_fixture(Fixture(DATA / "golden_lang.npz"), None, None, classes=1)
    assert report.ok, [f"{line.name}: {line.text}" for line in report.lines if not line.ok]


def test_a_single_wrong_sign_is_found(focalt):
    model = focalt.with_rules("v1")
    model.decoder.pn_indicator.weight = torch.nn.Parameter(focalt.decoder.pn_indicator.weight.flip(0), False)
    report = check_fixture(Fixture(DATA / "golden_focalt_v1_inter_C.npz"), Runner(model, bank()), None)
    assert not report.ok


def test_a_missing_class_bank_or_variant_is_told_and_the_other_fixtures_still_run(focalt, tmp_path):
    no_bank = check_fixture(Fixture(DATA / "golden_focalt_v1_pano_C.npz"), Runner(focalt.with_rules("v1"), None), None)
    assert not no_bank.ok and "golden_lang.npz" in no_bank.lines[-1].name
    nameless = tmp_path / "golden_feat_C.npz"
    nameless.write_bytes((DATA / "golden_focalt_v1_feat_C.npz").read_bytes())
    no_variant = check_fixture(Fixture(nameless), None, None)
    assert not no_variant.ok and "variant" in no_variant.lines[-1].name


def test_a_few_queries_moved_by_a_threshold_pass_and_many_do_not():
    golden = np.random.default_rng(0).normal(0, 12, (100, 50))
    few, many = golden.copy(), golden.copy()
    few[:2] += 0.3
    many[:20] += 0.3
    report = ParityReport("x")
    report.close("few", few, golden)
    report.close("many", many, golden)
    report.close("nan", golden * np.nan, golden)
    assert [line.ok for line in report.lines] == [True, False, False]


def test_a_report_with_nothing_compared_is_a_failure():
    assert not ParityReport("x").ok


def test_subsampling_follows_the_name_and_the_sizes():
    ours = np.arange(101 * 8).reshape(101, 8)
    assert np.array_equal(subsampled(ours, np.zeros((6, 4)), "a_q20", 0), ours[::20, ::2])
    with pytest.raises(DataError):
        subsampled(ours, np.zeros((7, 8)), "a_q20", 0)


def test_a_folder_without_fixtures_is_an_error_and_not_a_success(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "gone")]) == 2
    assert "holds no golden_" in capsys.readouterr().err


def test_a_broken_fixture_file_is_named(tmp_path):
    (tmp_path / "golden_focalt_v1_feat_C.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="golden_focalt_v1_feat_C"):
        Fixture(tmp_path / "golden_focalt_v1_feat_C.npz")
    with pytest.raises(DataError, match="not named like"):
        Fixture(tmp_path / "golden_strange.npz")
