# SPDX-License-Identifier: Apache-2.0
"""The doctor's report says what a report about a problem needs, whatever is broken."""

from __future__ import annotations

import fcntl
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from seem_ros.tools import doctor

ROOT = Path(__file__).parents[2]


def test_the_report_names_versions_processor_backends_model_cache_and_ros(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEEM_ROS_CACHE", str(tmp_path / "cache"))
    assert doctor.main(["--seconds", "0"]) == 0
    said = capsys.readouterr().out
    for words in (
        "versions:",
        f"numpy {np.__version__}",
        "cores",
        "flags:",
        "onnxruntime: CPU, fp32",
        "verified",
        "cache:",
    ):
        assert words in said, said
    assert str(tmp_path) not in said and "Traceback" not in said  # the home folder is written as ~


def test_where_the_home_folder_is_the_root_paths_stay_as_they_are(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_backends", lambda: iter(()))
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("SEEM_ROS_CACHE", "/no/such/cache")
    assert doctor.main(["--seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert f"({sys.executable})" in said and "/no/such/cache" in said and "~" not in said


def test_only_the_home_folder_itself_is_written_as_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr(doctor, "_versions", lambda: iter(["/home/ann/ws (/home/ann), /home/anna, /data/home/ann"]))
    assert list(itertools.islice(doctor.report(0), 2))[1] == "  ~/ws (~), /home/anna, /data/home/ann"


def test_what_is_broken_is_said_and_the_rest_follows(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_backends", lambda: iter(()))
    monkeypatch.setenv("SEEM_ROS_CACHE", "~no_such_user/cache")
    assert doctor.main(["--seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert "cannot be told: BackendError: $SEEM_ROS_CACHE" in said and "ROS:" in said


def test_ports_of_shared_memory_that_killed_processes_left_are_counted_and_held_ones_are_not(tmp_path):
    for name in ("fastdds_port7411", "fastdds_port7411_el", "fastdds_port7413_el", "fastdds_0592afc89fefd164_el"):
        (tmp_path / name).touch()
    with (tmp_path / "fastdds_port7413_el").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert doctor.abandoned_ports(tmp_path) == [tmp_path / "fastdds_port7411_el"]
    assert len(doctor.abandoned_ports(tmp_path)) == 2


def test_the_bill_of_materials_names_every_package_with_version_and_licence(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "sbom.py"), "--out", str(tmp_path / "sbom.json")]
    subprocess.run(command, check=True, capture_output=True)
    components = {one["name"]: one for one in json.loads((tmp_path / "sbom.json").read_text())["components"]}
    assert components["numpy"]["version"] == np.__version__
    assert "BSD" in components["numpy"]["licenses"][0]["license"]["name"]
