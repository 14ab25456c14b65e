# SPDX-License-Identifier: Apache-2.0
"""The parameter table, config/seem.yaml and the reference say the same; what is out of range is refused."""

import runpy
from pathlib import Path

import pytest
import yaml

from seem_ros.errors import PromptError, SeemError
from seem_ros.ros.interface_docs import yaml_text
from seem_ros.ros.parameters import Settings, changed_but_fixed, table
from seem_ros.runtime.postprocess_config import PostprocessConfig

ROOT = Path(__file__).parents[2]
PAGES = runpy.run_path(str(ROOT / "scripts" / "write_reference.py"))["PAGES"]


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_the_yaml_file_documents_every_parameter_with_its_default():
    text = (ROOT / "config" / "seem.yaml").read_text()
    assert text == yaml_text(), "run scripts/write_reference.py"
    values = dict(flat(yaml.safe_load(text)["/**"]["ros__parameters"]))
    assert values == Settings().values()
    assert {name: type(value) for name, value in values.items()} == {row.name: type(row.default) for row in table()}


@pytest.mark.parametrize("name", ["interfaces", "parameters", "messages"])
def test_the_reference_says_what_the_code_does(name):
    text = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    assert text == PAGES[f"docs/reference/{name}.md"](), "run scripts/write_reference.py"


def test_every_parameter_has_a_description_and_every_number_a_range():
    for row in table():
        assert len(row.description) > 10, row.name
        if isinstance(row.default, (int, float)) and not isinstance(row.default, bool):
            assert row.minimum is not None and row.maximum is not None, row.name
        descriptor = row.descriptor()
        assert descriptor.description == row.description and descriptor.type


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_every_parameter_refuses_another_type_and_what_is_out_of_range(row):
    wrong = [object(), None]
    if isinstance(row.default, (int, float)) and not isinstance(row.default, bool):
        wrong += [type(row.default)(row.maximum + 1), type(row.default)(row.minimum - 1), str(row.default)]
    if isinstance(row.default, float):
        wrong.append(float("nan"))
    if row.choices:
        wrong.append("none of them")
    for value in wrong:
        with pytest.raises(PromptError, match=row.name):
            row.check(value)
    row.check(row.default)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cameras": ["a", "a"]}, "different names"),
        ({"cameras": []}, "1 to 16"),
        ({"cameras": ["3d"]}, "a letter first"),
        ({"model": ""}, "model package"),
        ({"depth_wait_s": 1.0, "call_timeout_s": 0.5}, "shorter than"),
        ({"tracker.max_targets": 300}, "at most 255"),
        ({"tracker.presence_found": 0.2}, "presence_lost"),
        ({"unheard_of": 1}, "no parameter"),
    ],
)
def test_parameters_are_checked_together(values, words):
    with pytest.raises(PromptError, match=words):
        Settings().changed(values)


def test_settings_are_replaced_as_a_whole_and_fixed_ones_are_found():
    old = Settings()
    new = old.changed({"tracker.max_targets": 300, "label_encoding": "mono16", "overlay_alpha": 0.1})
    assert old == Settings() and new.tracker.max_targets == 300 and new.wide_labels
    assert list(changed_but_fixed(old, new)) == ["label_encoding"]


def test_presence_thresholds_that_nobody_set_are_the_models_own():
    thresholds = PostprocessConfig(presence_found=0.6, presence_lost=0.45)
    assert Settings().tracker_config(thresholds).presence_found == 0.6
    mine = Settings().changed({"tracker.presence_found": 0.7})
    config = mine.tracker_config(thresholds)
    assert (config.presence_found, config.presence_lost) == (0.7, 0.45)
    with pytest.raises(SeemError):
        Settings().changed({"tracker.presence_found": 0.4}).tracker_config(thresholds)


def test_a_value_that_is_a_default_elsewhere_can_be_asked_for():
    thresholds = PostprocessConfig(presence_found=0.6, presence_lost=0.45)
    mine = Settings().changed({"tracker.presence_found": 0.5, "presence_threshold": 0.5})
    assert mine.tracker_config(thresholds).presence_found == 0.5
    assert mine.segmenter_config().presence_threshold == 0.5
    assert mine.in_force(thresholds) == {"tracker.presence_lost": 0.45}
    again = mine.changed({"tracker.presence_found": -1.0, "presence_threshold": -1.0})
    assert again == Settings() and again.tracker_config(thresholds).presence_found == 0.6


def test_the_vocabulary_is_read_from_commas():
    assert Settings().changed({"things": " mug, box,, "}).vocabulary == (("mug", "box"), ())
