# SPDX-License-Identifier: Apache-2.0
"""The table of synonyms is cut from a WordNet database, here one of six meanings."""

from __future__ import annotations

import gzip

import pytest

from seem_ros.tools.synonyms import main

DATA = """  1 This software is provided by Princeton University.
00000001 03 n 01 entity 0 000 | all there is
00000002 05 n 02 animal 0 beast 0 001 @ 00000001 n 0000 | a living organism that moves
00000003 05 n 02 dog 0 domestic_dog 0 001 @ 00000002 n 0000 | a member of the genus Canis
00000004 05 n 01 poodle 0 001 @ 00000003 n 0000 | an intelligent dog
00000005 18 n 01 dog 0 001 @ 00000001 n 0000 | a dull person
00000006 05 n 01 deer 0 001 @ 00000002 n 0000 | has antlers
"""
INDEX = """  1 This software is provided by Princeton University.
entity n 1 0 1 0 00000001
animal n 1 0 1 0 00000002
beast n 1 0 1 0 00000002
dog n 2 0 2 0 00000005 00000003
domestic_dog n 1 0 1 0 00000003
poodle n 1 0 1 0 00000004
deer n 1 0 1 0 00000006
"""


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "dict").mkdir()
    (tmp_path / "dict" / "data.noun").write_text(DATA)
    (tmp_path / "dict" / "index.noun").write_text(INDEX)
    (tmp_path / "dict" / "index.sense").write_text("dog%1:05:00:: 00000003 1 42\n")
    for name, text in (("names", "dog\ndeer\nmug\nhat\ncup\n"), ("meanings", ""), ("near", "hound: dog\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def _run(folder) -> int:
    files = [f"--{name}={folder / name}.txt" for name in ("names", "meanings", "near")]
    return main([f"--wordnet={folder / 'dict'}", f"--out={folder / 'table.gz'}", *files])


def test_synonyms_kinds_and_broader_words_are_found_and_the_notice_kept(wordnet):
    assert _run(wordnet) == 0
    lines = gzip.decompress((wordnet / "table.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "# This software is provided by Princeton University."
    rows = {tuple(line.split("\t")) for line in lines[1:]}
    assert rows == {
        ("animal", "broader", "deer|dog"),
        ("beast", "broader", "deer|dog"),
        ("domestic dog", "same", "dog"),
        ("hound", "near", "dog"),
        ("poodle", "narrower", "dog"),
    }


def test_the_same_database_gives_the_same_file(wordnet):
    _run(wordnet)
    first = (wordnet / "table.gz").read_bytes()
    _run(wordnet)
    assert (wordnet / "table.gz").read_bytes() == first


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("meanings.txt", "mug: mug: a cup\n", "no meaning of 'mug' that begins 'a cup'"),
        ("meanings.txt", "mug\n", "meanings.txt: 'mug' is not of the form"),
        ("near.txt", "hound\n", "near.txt: 'hound' is not of the form"),
        ("dict/data.noun", "nonsense\n", "are not of the form of version 3"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_nothing_is_written(wordnet, capsys, file, text, said):
    (wordnet / file).write_text(text)
    assert _run(wordnet) == 2
    assert said in capsys.readouterr().err and not (wordnet / "table.gz").exists()


def test_a_missing_database_is_said(wordnet, capsys):
    (wordnet / "dict" / "index.noun").unlink()
    assert _run(wordnet) == 2 and "index.noun cannot be read" in capsys.readouterr().err
