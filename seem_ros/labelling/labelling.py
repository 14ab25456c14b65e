# SPDX-License-Identifier: Apache-2.0
"""Labels one source after the other, or many at once on a Ray cluster."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seem_ros.datasets.media import Media, open_media
from seem_ros.errors import DataError, SeemError
from seem_ros.extras import pip_line
from seem_ros.labelling.label_set import LabelSet
from seem_ros.labelling.teacher import KeyFrame, LabelConfig, Teacher
from seem_ros.perception.segmenter import Segmenter
from seem_ros.perception.segmenter_config import SegmenterConfig
from seem_ros.perception.segmenter_opening import open_segmenter
from seem_ros.perception.structures.frame import Frame


@dataclass(frozen=True)
class Outcome:
    """What became of one source: its path, the error or "", and counts."""

    source: str
    error: str = ""
    pictures: int = 0
    objects: int = 0
    dropped: int = 0


def expand(sources: Sequence[str]) -> list[str]:
    """Paths and globs as a list of sources, each once.

    Raises:
        DataError: a path does not exist, or a glob meets nothing.
    """
    found: dict[str, None] = {}
    for source in sources:
        met = [source] if Path(source).exists() else sorted(glob.glob(source, recursive=True))
        if not met:
            raise DataError(f"{source} does not exist" if not glob.has_magic(source) else f"{source} meets no file")
        found.update(dict.fromkeys(met))
    return list(found)


def open_teacher(model: str, backend: str = "auto") -> Segmenter:
    """A package by name or folder, or a checkpoint. Raises SeemError when it cannot be used."""
    return open_segmenter(model, backend, SegmenterConfig(one_thing=False))  # texts are names of classes


def label_source(
    segmenter: Segmenter, config: LabelConfig, labels: LabelSet, source: str, topic: str = "", progress: bool = True
) -> Outcome:
    """Labels one source. What it raises is told in the outcome; other sources go on.

    Args:
        segmenter: the teacher.
        config: what to look for.
        labels: where to.
        source: bag, video, folder or picture.
        topic: image topic of a bag.
        progress: whether a bar is shown.
    """
    try:
        media = open_media(source, topic)
        return Outcome(source, "", **labels.add_source(source, _key_frames(segmenter, config, media, progress)))
    except SeemError as error:
        return Outcome(source, str(error))


def _key_frames(
    segmenter: Segmenter, config: LabelConfig, media: Media, progress: bool
) -> Iterator[tuple[str, KeyFrame]]:
    """Key frames of a source with their labels, a window at a time: so much of it is in memory."""
    teacher = Teacher(segmenter, config)
    length = config.every * (config.window - 1) + 1
    held: list[tuple[str, Frame]] = []
    fresh = 0
    with tqdm(total=media.count, desc=media.name, unit="frame", disable=None if progress else True) as bar:

        def label() -> Iterator[tuple[str, KeyFrame]]:
            new = [index for index in range(0, len(held), config.every) if index >= fresh]
            done = teacher.label([frame for _, frame in held], fresh)
            yield from ((held[index][0], key) for index, key in zip(new, done, strict=True))

        for name, frame in media.frames:
            bar.update()
            if held and frame.rgb.shape != held[-1][1].rgb.shape:
                raise DataError(f"{media.name}: {name} has another size than the pictures before it; label them apart")
            held.append((name, frame))
            if len(held) == length:
                yield from label()
                held, fresh = held[-1:], 1  # the last key frame begins the next window
        if len(held) > fresh:
            yield from label()


def label_all(sources: Sequence[str], labels: LabelSet, one: Callable[[str], Outcome]) -> Iterator[Outcome]:
    """Labels sources one after the other; those that are done are left."""
    for source in sources:
        if not labels.is_done(source):
            yield one(source)


def label_on_ray(sources: Sequence[str], labels: LabelSet, address: str, job: dict[str, Any]) -> Iterator[Outcome]:
    """Labels sources on a Ray cluster; results come back through the shared folder of `labels`.

    A source is the unit of work. A worker that dies is replaced and its source is tried again, three times at most; a
    source that fails is told in its outcome and ends nothing.

    Args:
        sources: paths that every machine of the cluster can read.
        labels: on a folder that every machine can write.
        address: "auto" for the cluster that this machine is part of, "local" to start one here, or its address.
        job: model, backend, config, topic, and what each source needs: cpus, gpus.

    Raises:
        DataError: Ray is not installed, or no cluster is there.
    """
    try:
        import ray
    except ImportError as error:
        raise DataError(f"--ray needs Ray: {pip_line('ray')}") from error
    try:
        ray.init(
            address=None if address == "local" else address,
            ignore_reinit_error=True,
            log_to_driver=False,
            include_dashboard=False,
            num_cpus=job.get("workers") if address == "local" else None,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DataError(f"no Ray cluster at {address}: {error}") from error
    remote = ray.remote(num_cpus=job.get("cpus", 1), num_gpus=job.get("gpus", 0), max_retries=3)(label_remotely)
    waiting = {
        remote.remote(str(labels.folder), labels.about, source, job): source
        for source in sources
        if not labels.is_done(source)
    }
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        source = waiting.pop(ready)
        try:
            yield Outcome(**ray.get(ready))
        except ray.exceptions.RayError as error:
            yield Outcome(source, f"its worker died again and again: {type(error).__name__}")


def label_remotely(folder: str, about: dict[str, Any], source: str, job: dict[str, Any]) -> dict[str, Any]:
    """What a Ray worker does with one source; plain values go in and out."""
    labels = LabelSet(Path(folder), about)
    with open_teacher(job["model"], job["backend"]) as segmenter:
        outcome = label_source(segmenter, LabelConfig(**job["config"]), labels, source, job["topic"], progress=False)
    return vars(outcome)
