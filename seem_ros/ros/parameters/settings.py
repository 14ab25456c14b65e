# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that declares, describes, checks and documents them.

`config/seem.yaml` and the README's table are held against this one by a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from seem_ros.errors import PromptError, SeemError
from seem_ros.perception.segmenter_config import UNKNOWN_WORDS, SegmenterConfig
from seem_ros.perception.tracking.config import TrackerConfig
from seem_ros.ros.parameters.row import Parameter, row
from seem_ros.runtime.loader import BACKENDS
from seem_ros.runtime.postprocess_config import PostprocessConfig

CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
MAX_CAMERAS = 16
TRACKER_PREFIX = "tracker."
MODELS_OWN = -1.0  # of a score between 0 and 1: whatever the model's package says
_OWN = "below 0 = the model's own"


@dataclass(frozen=True)
class Settings:
    """All parameters as one value: checked as a whole, replaced as a whole."""

    autostart: bool = row(True, "Configure and activate by itself when started.", fixed=True)
    lock: bool = row(
        False,
        "Refuse any change of model, cache_dir, objects_dir and of this parameter while the node runs: the network "
        "cannot point it at other folders.",
        fixed=True,
    )
    model: str = row(
        "builtin",
        "Model: builtin for the one that comes with seem_ros, a package's name or folder, or an official model such as "
        "focalt_v1, which is fetched and exported the first time.",
        fixed=True,
    )
    backend: str = row(
        "auto", "What runs the model; auto takes the best that is installed.", choices=("auto", *BACKENDS), fixed=True
    )
    precision: str = row(
        "auto",
        "Numbers the backend computes with; auto: the package's on a GPU, int8 or bf16 for the image "
        "encoder of a small model where the CPU gains by it, else fp32.",
        choices=("auto", "fp32", "fp16", "bf16", "int8"),
        fixed=True,
    )
    threads: int = row(
        0,
        "CPU threads of the model and of picture operations; 0 = all cores. Fewer leave cores to others.",
        0,
        256,
        fixed=True,
    )
    cache_dir: str = row("", "Folder of built engines and encoded texts; empty = ~/.cache/seem_ros.", fixed=True)
    objects_dir: str = row(
        "", "Folder of the objects that are taught; empty = ~/.local/share/seem_ros/objects.", fixed=True
    )
    cameras: list[str] = row(
        ["camera"],
        "Names of the cameras. One: topics image, depth, camera_info and ~/segments. "
        "Several: <name>/image and ~/<name>/segments.",
        fixed=True,
    )
    transport: str = row(
        "auto",
        "Raw or compressed images; auto takes what is published.",
        choices=("auto", "raw", "compressed"),
        fixed=True,
    )
    reliability: str = row(
        "auto",
        "Reliability asked of the camera; auto takes what it offers.",
        choices=("auto", "reliable", "best_effort"),
        fixed=True,
    )
    use_depth: bool = row(
        True, "Subscribe to depth and camera_info, and give positions where they are there.", fixed=True
    )
    rectified: str = row(
        "auto",
        "Whether the pictures are rectified, so that camera_info's distortion does not apply; "
        "auto: where the topic's name says rect.",
        choices=("auto", "yes", "no"),
    )
    label_encoding: str = row(
        "mono8", "Encoding of label images; mono8 has room for 255 segments.", choices=("mono8", "mono16"), fixed=True
    )
    max_waiting_calls: int = row(
        4, "Service calls that may wait at the same time; more are answered 'busy'.", 1, 32, fixed=True
    )
    history_frames: int = row(
        30, "Newest frames kept per camera, so that a request may name an older one.", 1, 300, fixed=True
    )
    history_mb: int = row(
        200, "Memory for these frames per camera, in megabytes; at least one frame is kept.", 1, 8000, fixed=True
    )
    max_replay_frames: int = row(10, "Frames replayed at most from the frame a prompt names up to now.", 1, 300)
    stamp_tolerance_s: float = row(0.02, "How far a named stamp may be from a kept frame's, in seconds.", 0.0, 10.0)
    max_rate_hz: float = row(0.0, "Frames segmented per second at most; 0 = as many as possible.", 0.0, 1000.0)
    call_timeout_s: float = row(5.0, "Each service call is answered within this time, in seconds.", 0.1, 300.0)
    watchdog_s: float = row(
        60.0,
        "A model without progress for this time, in seconds, counts as hung: a fresh one is loaded, and after two the "
        "process ends with exit status 3; 0 = never.",
        0.0,
        3600.0,
    )
    camera_timeout_s: float = row(
        2.0, "After this time without a frame a camera counts as gone, in seconds.", 0.1, 3600.0
    )
    depth_tolerance_s: float = row(
        0.02, "Largest difference between the stamps of image and depth, in seconds.", 0.0, 1.0
    )
    depth_wait_s: float = row(0.03, "How long an image waits for its depth, in seconds.", 0.0, 1.0)
    target_frame: str = row("", "Frame of the robot that positions and boxes are given in; empty = the picture's own.")
    transform_wait_s: float = row(
        0.1, "How long an image waits for the camera's place in target_frame, in seconds.", 0.0, 1.0
    )
    broadcast_tf: bool = row(False, "Tell /tf where each tracked target is, as a frame like seem/red_mug_1.")
    panoptic: bool = row(False, "Segment the whole vocabulary in every frame.")
    things: str = row("", "Vocabulary of countable objects, separated by commas; both empty = the model's own.")
    stuff: str = row("", "Vocabulary of what cannot be counted, like table or wall, separated by commas.")
    presence_threshold: float = row(
        MODELS_OWN, f"Presence from which something counts as found; {_OWN}.", MODELS_OWN, 1.0
    )
    unknown_words: str = row(
        "resolve",
        "Text with words the model never saw: resolve asks for a synonym or a kind of it that it knows and says so, "
        "refuse answers 'not found', use tries.",
        choices=UNKNOWN_WORDS,
    )
    look_closer: bool = row(
        True,
        "Look a second time, from nearer, at small things that a box or three clicks point at: better masks, for one "
        "more encode each.",
    )
    answer_labels: bool = row(
        True, "Put the label image into the answers of services; false keeps them short in a shell."
    )
    overlay_alpha: float = row(0.5, "Opacity of the colours in ~/overlay.", 0.0, 1.0)
    overlay_names: bool = row(True, "Write names and ids into ~/overlay.")
    jpeg_quality: int = row(80, "Quality of ~/overlay/compressed.", 1, 100)
    cloud_stride: int = row(2, "Every how many rows and columns ~/points has a point.", 1, 64)
    diagnostics_rate_hz: float = row(1.0, "Messages per second on /diagnostics.", 0.1, 50.0, fixed=True)
    tracker_presence_found: float = row(
        MODELS_OWN, f"Presence a target that is not tracked needs to be found; {_OWN}.", MODELS_OWN, 1.0
    )
    tracker_presence_lost: float = row(
        MODELS_OWN, f"Presence below which a tracked target is not seen; {_OWN}.", MODELS_OWN, 1.0
    )
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        names = self.cameras
        if not 1 <= len(names) <= MAX_CAMERAS:
            raise PromptError(f"cameras must name 1 to {MAX_CAMERAS} cameras, got {len(names)}")
        for name in names:
            if not CAMERA_NAME.fullmatch(name):
                raise PromptError(f"a camera's name takes letters, digits and _, a letter first, got {name!r}")
        if len(set(names)) != len(names):
            raise PromptError(f"cameras must have different names, got {', '.join(names)}")
        if not self.model:
            raise PromptError("model must name a model package or its folder, got an empty string")
        if self.depth_wait_s >= self.call_timeout_s:
            raise PromptError(
                f"depth_wait_s ({self.depth_wait_s:g}) must be shorter than call_timeout_s ({self.call_timeout_s:g})"
            )
        # what the model's package says is not known here: whoever goes below the usual says both
        lost = self.tracker_presence_lost if self.tracker_presence_lost >= 0 else PostprocessConfig.presence_lost
        if 0 <= self.tracker_presence_found < lost:
            raise PromptError(
                f"tracker.presence_lost must not exceed presence_found, got {lost:g} and "
                f"{self.tracker_presence_found:g}: a target would be found and lost in turn"
            )
        room = 255 if self.label_encoding == "mono8" else 65535
        if self.tracker.max_targets > room:
            raise PromptError(
                f"tracker.max_targets ({self.tracker.max_targets}) must be at most {room} with label_encoding "
                f"{self.label_encoding}"
            )

    @property
    def wide_labels(self) -> bool:
        """Whether label images are uint16."""
        return self.label_encoding == "mono16"

    @property
    def vocabulary(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Things and stuff, as lists of names."""
        return _names(self.things), _names(self.stuff)

    def segmenter_config(self) -> SegmenterConfig:
        """What the segmenter needs of this."""
        threshold = None if self.presence_threshold < 0 else self.presence_threshold
        return SegmenterConfig(
            presence_threshold=threshold, unknown_words=self.unknown_words, look_closer=self.look_closer
        )

    def tracker_config(self, postprocess: PostprocessConfig) -> TrackerConfig:
        """The tracker's numbers; presence thresholds below 0 are the model's own.

        Args:
            postprocess: What the model's package says.

        Raises:
            TargetError: What was set contradicts what the model says.
        """
        found, lost = self.tracker_presence_found, self.tracker_presence_lost
        return replace(
            self.tracker,
            presence_found=postprocess.presence_found if found < 0 else found,
            presence_lost=postprocess.presence_lost if lost < 0 else lost,
        )

    def in_force(self, postprocess: PostprocessConfig) -> dict[str, float]:
        """The values that rule in place of every "the model's own", by the names of the table."""
        own = {
            "presence_threshold": postprocess.presence_found,
            "tracker.presence_found": postprocess.presence_found,
            "tracker.presence_lost": postprocess.presence_lost,
        }
        mine = self.values()
        return {name: value for name, value in own.items() if mine[name] < 0}

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced, checked each and together.

        Raises:
            PromptError: A value has the wrong type, is out of range, unknown, or does not fit the others.
        """
        rows = {one.name: one for one in table()}
        own, tracker = {}, {}
        for name, value in values.items():
            if name not in rows:
                raise PromptError(f"there is no parameter {name!r}")
            value = list(value) if isinstance(value, (list, tuple)) else value
            if isinstance(rows[name].default, float) and type(value) is int:
                value = float(value)
            rows[name].check(value)
            if name in _SCORES:
                own[_SCORES[name]] = value
            elif name.startswith(TRACKER_PREFIX):
                tracker[name.removeprefix(TRACKER_PREFIX)] = value
            else:
                own[name] = value
        try:
            return replace(self, **own, tracker=replace(self.tracker, **tracker))
        except SeemError as error:
            raise PromptError(str(error)) from error

    def values(self) -> dict[str, Any]:
        """All values by the names of the table."""
        result = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "tracker"}
        for item in fields(self.tracker):
            result[TRACKER_PREFIX + item.name] = getattr(self.tracker, item.name)
        result |= {name: result[own] for name, own in _SCORES.items()}
        return {one.name: result[one.name] for one in table()}


# the tracker's scores that a model's package knows better: fields of `Settings`, so that they can say "the model's own"
_SCORES = {TRACKER_PREFIX + name: f"tracker_{name}" for name in ("presence_found", "presence_lost")}


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def table() -> tuple[Parameter, ...]:
    """Every parameter of the node."""
    rows, scores = [], {}
    for item in fields(Settings):
        if item.name == "tracker":
            continue
        meta = item.metadata
        default = item.default if item.default_factory is MISSING else item.default_factory()
        shown = next((name for name, own in _SCORES.items() if own == item.name), None)
        made = Parameter(
            name=shown or item.name,
            default=default,
            description=meta["description"],
            minimum=meta["minimum"],
            maximum=meta["maximum"],
            choices=meta["choices"],
            changeable=not meta["fixed"],
        )
        if shown:
            scores[shown] = made
        else:
            rows.append(made)
    for name, _, default, minimum, maximum, description in TrackerConfig.describe():
        made = Parameter(TRACKER_PREFIX + name, default, description, minimum, maximum)
        rows.append(scores.get(made.name, made))
    return tuple(rows)


LOCKED = ("lock", "model", "cache_dir", "objects_dir")


def changed_but_locked(old: Settings, new: Settings) -> Iterable[str]:
    """Names of the parameters that differ and may not be changed at all, because the node was started with ``lock``."""
    return [name for name in LOCKED if old.lock and getattr(old, name) != getattr(new, name)]


def changed_but_fixed(old: Settings, new: Settings) -> Iterable[str]:
    """Names of the parameters that differ and may not be changed while the node is configured."""
    before, after = old.values(), new.values()
    return [one.name for one in table() if not one.changeable and before[one.name] != after[one.name]]
