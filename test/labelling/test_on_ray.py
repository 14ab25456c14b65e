# SPDX-License-Identifier: Apache-2.0
"""Sources spread over a Ray cluster of two workers on this machine, one of which is killed while it works."""

from __future__ import annotations

import threading
import time

import psutil
import pytest

from seem_ros.errors import DataError
from seem_ros.labelling.label_set import LabelSet
from seem_ros.labelling.labelling import label_on_ray

ray = pytest.importorskip("ray")

CONFIG = {"things": ("red box", "blue box"), "every": 4, "least_px": 20}


@pytest.fixture
def job():
    yield {"model": "builtin", "backend": "auto", "topic": "", "config": CONFIG, "workers": 2}
    ray.shutdown()


def _kill_one_at_work(labels: LabelSet, killed: list[int]) -> None:
    """Ends one worker of this process's cluster as soon as a source is half-written."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not killed:
        if list(labels.folder.glob("sources/.*.part/images/*.jpg")) or list(labels.folder.glob("sources/.*.part")):
            for one in psutil.Process().children(recursive=True):
                try:
                    busy = one.cmdline()[:1] == ["ray::label_remotely"] or "ray::label_remotely" in one.name()
                except psutil.Error:
                    continue
                if busy:
                    one.kill()
                    killed.append(one.pid)
                    return
        time.sleep(0.05)


@pytest.mark.long
def test_a_worker_that_is_killed_is_replaced_and_a_broken_source_ends_nothing(tmp_path, film, job):
    sources = [str(film(tmp_path / f"film{number}")) for number in range(4)]
    (tmp_path / "broken.mcap").write_bytes(b"no bag")
    sources.insert(1, str(tmp_path / "broken.mcap"))
    labels = LabelSet(tmp_path / "labels", {"model": "builtin"})
    killed: list[int] = []
    killer = threading.Thread(target=_kill_one_at_work, args=(labels, killed))
    killer.start()
    outcomes = {one.source: one for one in label_on_ray(sources, labels, "local", job)}
    killer.join()
    assert killed and set(outcomes) == set(sources)
    assert [outcomes[source].error != "" for source in sources] == [False, True, False, False, False]
    assert all(outcomes[source].pictures == 6 for source in sources if "film" in source)
    assert labels.merge()["sources"] == 4 and not list(labels.folder.glob("sources/.*"))
    assert list(label_on_ray([s for s in sources if "film" in s], labels, "local", job)) == []


def test_a_cluster_that_is_not_there_is_said(tmp_path, job):
    labels = LabelSet(tmp_path / "labels", {"model": "builtin"})
    with pytest.raises(DataError, match="no Ray cluster at auto"):
        list(label_on_ray([], labels, "auto", job))
