# SPDX-License-Identifier: Apache-2.0
"""The card beside a package says what is known, says what is not told, and leaves a person's own words alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from seem_ros.export.model_card import CARD_FILE, model_card, write_model_card
from seem_ros.runtime.package import find_package, open_package


@pytest.fixture
def package(tmp_path):
    """The built-in package's description over a folder of its own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    return SimpleNamespace(folder=folder, spec=open_package(find_package("builtin")).spec)


def test_data_and_licences_are_a_table(package):
    told = {"made_by": {"image passes": 4000}, "data": [{"name": "kitchen", "pictures": 12, "licence": "CC BY 4.0"}]}
    text = model_card(package, told)
    assert "| kitchen | 12 | not told | CC BY 4.0 |" in text and "- image passes: 4000" in text
    assert "None measured." in text


def test_what_nobody_told_is_said_to_be_not_told(package):
    assert model_card(package, {}).count("Not told.") == 2


def test_a_card_that_a_person_wrote_stays_and_our_own_is_renewed(package):
    assert write_model_card(package, {"made_by": {"steps": 1}}) and write_model_card(package, {"made_by": {"steps": 2}})
    assert "- steps: 2" in (package.folder / CARD_FILE).read_text()
    (package.folder / CARD_FILE).write_text("# My model\n")
    assert not write_model_card(package, {"made_by": {"steps": 3}})
    assert (package.folder / CARD_FILE).read_text() == "# My model\n"
