# SPDX-License-Identifier: Apache-2.0
"""What every timing here shares: a calibration convolution, stages of a model, paired rounds, best of three."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from seem_ros.model.codes import PriorKind, SelectBy
from seem_ros.runtime.interface import Backend, PromptBatch
from seem_ros.runtime.parity_gate import drawn_scene

CALIBRATION = "3x3 convolution, 256 to 256 channels, 64x64, float32: 4.8 GFLOP"


def calibration_ms(threads: int, repeats: int = 10) -> float:
    """Time of one known convolution in ONNX Runtime: what other machines' figures can be scaled by."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.full((256, 256, 3, 3), 0.01, np.float32), "w")
    shape = [1, 256, 64, 64]
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([node], "calibration", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": np.ones(shape, np.float32)}
    return best_ms(lambda: session.run(None, feed), repeats)


def best_ms(work: Callable[[], object], repeats: int, warm: bool = True) -> float:
    """Least wall time of a call in milliseconds; ``warm``: after one call that does not count."""
    if warm:
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def click_prompts(backend: Backend, count: int, points: int = 1) -> PromptBatch:
    """``count`` prompts of one click each, spread over the picture; ``points`` at the same place."""
    prompts = PromptBatch.empty(backend.spec, count)
    rng = np.random.default_rng(count)
    prompts.points_xy[:, :points] = rng.uniform(0.1, 0.9, (count, 1, 2))
    prompts.points_label[:, :points] = 1
    prompts.prior_box[:, :2], prompts.prior_box[:, 2:] = prompts.points_xy[:, 0], 0.1
    prompts.prior_kind[:] = PriorKind.CLICK
    return prompts


def tracked_prompts(backend: Backend, features: object, count: int) -> PromptBatch:
    """``count`` targets as the tracker asks for them: appearance tokens and a previous mask, no points."""
    first = backend.decode(features, click_prompts(backend, count))
    spec = backend.spec
    prompts = PromptBatch.empty(spec, count)
    slots = min(1, spec.max_references)
    prompts.reference_tokens[:, :slots] = first.appearance_tokens[:, None][:, :slots]
    prompts.reference_valid[:, :slots] = True
    prompts.reference_embedding[:] = first.appearance_embedding
    prompts.select_by[:] = SelectBy.REFERENCE
    if spec.memory_slots:
        prompts.previous_mask[:], prompts.has_previous[:] = first.memory_mask, True
    return prompts


def stages(backend: Backend, counts: Sequence[int] = (1, 4, 16)) -> dict[str, Callable[[], object]]:
    """The stages of a frame, ready to be called again and again.

    Args:
        backend: What runs them.
        counts: Numbers of prompts that are decoded together; with 16 also 16 tracked targets and all objects.
    """
    height, width = backend.spec.input_hw
    picture = drawn_scene(height, width)
    features = backend.encode_image(picture)
    found: dict[str, Callable[[], object]] = {"encode": lambda: backend.encode_image(picture)}
    for count in counts:
        prompts = click_prompts(backend, count)
        found[f"decode {count}"] = lambda prompts=prompts: backend.decode(features, prompts)
    if backend.spec.small_slots and backend.status.backend != "torch":  # what padding costs: one point too many
        crowded = click_prompts(backend, counts[-1], backend.spec.small_slots + 1)
        found[f"decode {counts[-1]}, all slots"] = lambda: backend.decode(features, crowded)
    if 16 not in counts:
        return found
    tracked = tracked_prompts(backend, features, 16)
    found["track 16"] = lambda: backend.decode(features, tracked)
    if backend.spec.object_queries:
        found["objects"] = lambda: backend.decode_objects(features)
    return found


def paired(
    works: Mapping[str, Mapping[str, Callable[[], object]]], repeats: int, rounds: int = 3
) -> dict[str, dict[str, float]]:
    """Milliseconds, best of ``rounds``; in turns, so that a machine that slows down slows everything alike."""
    best: dict[str, dict[str, float]] = {name: {} for name in works}
    for turn in range(rounds):
        for name, own in works.items():
            for stage, work in own.items():
                best[name][stage] = min(best[name].get(stage, float("inf")), best_ms(work, repeats, warm=turn == 0))
    return best


def table(rows: Mapping[str, Mapping[str, float]], unit: str = "ms", digits: int = 1) -> str:
    """Rows of numbers as a Markdown table."""
    columns = list(dict.fromkeys(stage for row in rows.values() for stage in row))
    lines = [f"| {unit} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.{digits}f}" if c in row else "" for c in columns) + " |")
    return "\n".join(lines)


def plot(path: Path, rows: Mapping[str, Mapping[str, float]], stack: Sequence[str], title: str) -> None:
    """Stacked bars of some stages, one bar per row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.6 * len(rows) + 1.6), layout="constrained")
    left = np.zeros(len(rows))
    for stage in stack:
        widths = np.array([row.get(stage, 0.0) for row in rows.values()])
        bars = axes.barh(list(rows), widths, left=left, label=stage)
        axes.bar_label(bars, fmt="%.1f", label_type="center", fontsize=8)
        left += widths
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds")
    axes.set_title(title)
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def machine() -> str:
    """One line about the CPU."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        name = f"{len(names)} x {names[0]}" if names else name
    return f"{name}, Python {platform.python_version()}"
