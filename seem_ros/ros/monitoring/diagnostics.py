# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says: rates, latency per stage, drops, the backend, the targets, memory."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from seem_ros.perception.tracking.target import TargetState
from seem_ros.ros.camera.pipeline import CameraPipeline


def resident_mb() -> float:
    """Memory of this process that is in RAM, in megabytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def node_status(
    name: str,
    backend_status: Any,
    spec: Any,
    waiting_calls: int,
    thread_errors: str,
    clock_problem: str = "",
    vocabulary: tuple[list[str], list[str]] = ([], []),
) -> DiagnosticStatus:
    """The model, its vocabulary (things and stuff) and the process."""
    status = DiagnosticStatus(name=f"{name}: model", hardware_id=backend_status.device)
    status.level, status.message = DiagnosticStatus.OK, backend_status.message
    if backend_status.degraded or backend_status.building_percent is not None:
        status.level = DiagnosticStatus.WARN
    if clock_problem:
        status.level, status.message = DiagnosticStatus.WARN, clock_problem
    if thread_errors:
        status.level, status.message = DiagnosticStatus.ERROR, thread_errors
    status.values = _values(
        {
            "model": spec.name,
            "backend": backend_status.backend,
            "device": backend_status.device,
            "precision": backend_status.precision,
            "input_size": f"{spec.input_hw[1]}x{spec.input_hw[0]}",
            "engine_building_percent": backend_status.building_percent,
            "waiting_calls": waiting_calls,
            "things": ", ".join(vocabulary[0]),
            "stuff": ", ".join(vocabulary[1]),
            "resident_memory_mb": f"{resident_mb():.0f}",
        }
    )
    return status


def camera_status(
    name: str, pipeline: CameraPipeline, describe: str, problem: str, image_topic: str = ""
) -> DiagnosticStatus:
    """One camera and its targets."""
    statistics, settings = pipeline.statistics, pipeline.settings
    status = DiagnosticStatus(name=f"{name}: camera {pipeline.name}", hardware_id=pipeline.name)
    age_s = pipeline.age_s()
    status.level, status.message = DiagnosticStatus.OK, describe
    if problem:
        status.level, status.message = DiagnosticStatus.WARN, problem
    elif age_s is None:
        status.level, status.message = DiagnosticStatus.WARN, f"no frame yet; {describe}"
    elif age_s > settings.camera_timeout_s and not pipeline.is_still:
        status.level, status.message = DiagnosticStatus.STALE, f"no frame for {age_s:.1f} s; {describe}"
    elif pipeline.depth_problem:
        status.level, status.message = DiagnosticStatus.WARN, pipeline.depth_problem
    if pipeline.last_error:
        status.level, status.message = DiagnosticStatus.ERROR, pipeline.last_error
    counts, frames = statistics.counts(), pipeline.counts()
    states = Counter(target.state.value for target in pipeline.targets)
    values: dict[str, Any] = {
        "image_topic": image_topic,
        "enabled": pipeline.enabled,
        "published_hz": f"{statistics.rate_hz():.1f}",
        **{f"frames_{key}": counts.get(key, 0) for key in ("received", "published", "dropped")},
        "frames_late": frames["late"],
        "frames_without_depth": frames["without_depth"],
        "errors": counts.get("errors", 0),
        "time_jumps": frames["time_jumps"],
        "deep_pixels": pipeline.scale or None,
        "targets": len(pipeline.targets),
        **{f"targets_{state.value.lower()}": states.get(state.value, 0) for state in TargetState},
    }
    for stage, (median, p95, p99) in statistics.milliseconds().items():
        values[f"{stage}_ms"] = f"{median:.1f}"
        values[f"{stage}_p95_ms"] = f"{p95:.1f}"
        values[f"{stage}_p99_ms"] = f"{p99:.1f}"
    status.values = _values(values)
    return status


def _values(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items() if value is not None]
