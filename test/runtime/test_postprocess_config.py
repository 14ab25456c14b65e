# SPDX-License-Identifier: Apache-2.0
"""A package's thresholds are read as a whole, and a typo in one is not silence."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from seem_ros.errors import ModelError
from seem_ros.runtime.package import open_package
from seem_ros.runtime.postprocess_config import WHOLE, PostprocessConfig
from seem_ros.runtime.spec import ModelSpec


def test_the_shipped_packages_thresholds_are_read(package):
    said = yaml.safe_load((package.folder / "model.yaml").read_text())["model"]["thresholds"]
    assert package.spec.postprocess == PostprocessConfig(**said | {name: int(said[name]) for name in WHOLE})
    assert package.spec.to_mapping()["thresholds"].items() <= said.items()
    assert ModelSpec.from_mapping(package.spec.to_mapping()) == package.spec


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"presense_found": 0.5}, "unknown thresholds .*presense_found.*known are presence_found"),
        ({"presence_tracked": 0.5}, "presence_tracked"),
        ({"presence_found": 1.5}, "presence_found must lie in 0..1"),
        ({"presence_found": float("nan")}, "presence_found"),
        ({"presence_found": "high"}, "must be a number, got 'high'"),
        ({"presence_found": True}, "must be a number"),
        ({"presence_found": 0.3, "presence_lost": 0.4}, "must not exceed"),
        ({"text_slope": 1.0}, "belong together"),
        ({"edge_radius": 1.5}, "whole number"),
        ({"edge_radius": -1}, "0..100"),
        ({"clicks_at_once": 2.5}, "clicks_at_once must be a whole number"),
        ({"clicks_at_once": -1}, "0..100"),
        ({"closer_look": 1.0}, "closer_look must be 0, or above 1"),
        ({"closer_look": float("nan")}, "closer_look must be 0, or above 1"),
        ({"box_vote": 1.1}, "box_vote must lie in 0..1"),
        ({"click_tolerance_px": -1}, "0..100"),
    ],
)
def test_what_cannot_be_meant_is_refused(plain, words):
    with pytest.raises(ModelError, match=words):
        PostprocessConfig.from_mapping(plain)


def test_a_typo_in_a_package_is_told_when_it_is_opened(linked_package: Path, replace_file):
    path = linked_package / "model.yaml"
    text = path.read_text().rpartition("\ncheck: ")[0] + "\n"
    replace_file(path, text.replace("panoptic_score", "panoptic_scores").encode())
    with pytest.raises(Exception, match="panoptic_scores") as told:
        open_package(linked_package)
    assert "SeemError" in {kind.__name__ for kind in type(told.value).__mro__}


def test_a_package_that_names_a_low_presence_alone_is_followed_from_there():
    assert PostprocessConfig.from_mapping({"presence_found": 0.3}).presence_lost == 0.3
    assert replace(PostprocessConfig(), presence_found=0.9).presence_lost == 0.35
