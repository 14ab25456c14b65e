# SPDX-License-Identifier: Apache-2.0
"""The parity gate: a new engine must answer stored inputs like ONNX Runtime before it serves.

Compilers have been silently wrong (fused attention in half precision, GridSample), so nothing is trusted unmeasured.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from seem_ros.errors import PackageError, PromptError
from seem_ros.model.codes import PriorKind, SelectBy
from seem_ros.runtime.interface import Backend, DecodeBatch, ObjectBatch, PromptBatch, TextFeatures
from seem_ros.runtime.spec import ModelSpec


@dataclass(frozen=True)
class Tolerance:
    """How far an engine may be from ONNX Runtime in float32.

    Attributes:
        mean_iou: Least mean intersection over union of the prompts' masks.
        object_iou: Least median intersection over union of the object queries' masks: a query on the verge of seeing
            something else, or a mask of a few pixels, must not decide.
        same_choice: Least part of prompts with the same winning query.
        cosine: Least cosine of any text's or prompt's embedding, and median cosine of object queries.
        median_logit: Largest median difference of mask logits, in standard deviations of the logits.
    """

    mean_iou: float
    object_iou: float
    same_choice: float
    cosine: float
    median_logit: float


# Masked attention thresholds masks: where one logit is nearly zero, rounding alone moves a query's answer by up to 0.6.
TOLERANCES = {
    "fp32": Tolerance(0.998, 0.995, 1.0, 0.999, 1e-3),
    "fp16": Tolerance(0.98, 0.98, 0.75, 0.99, 2e-2),
    "bf16": Tolerance(0.95, 0.95, 0.75, 0.97, 1e-1),
    # The drawn scene is no camera picture, whose masks export has compared already: this catches a wrong compiler.
    "int8": Tolerance(0.90, 0.90, 0.75, 0.95, 2e-1),
}


@dataclass(frozen=True, eq=False)
class GateInputs:
    """Stored inputs: a picture, texts and prompts without text (texts are encoded by the engine under test).

    Attributes:
        rgb: uint8 [H, W, 3], network input.
        content_hw: True size before padding.
        texts: One per prompt; empty where the prompt has none.
        prompts: The prompts.
    """

    rgb: np.ndarray
    content_hw: tuple[int, int]
    texts: tuple[str, ...]
    prompts: PromptBatch


@dataclass(frozen=True, eq=False)
class Answers:
    """All that a backend said about the stored inputs."""

    text: TextFeatures
    decoded: DecodeBatch
    objects: ObjectBatch | None


@dataclass(frozen=True)
class GateResult:
    """What the gate measured.

    Attributes:
        passed: All within tolerance.
        message: One line with the numbers, or the reason for failing.
        mean_iou: Mean intersection over union of the prompts' masks.
        object_iou: Median intersection over union of the object queries' masks; 1 without object queries.
        same_choice: Part of prompts with the same winning query.
        cosine: Least cosine of any text's embedding, of any prompt's with the same winning query, and of the median
            object query's.
        median_logit: Median difference of mask logits in standard deviations.
        max_logit: Largest difference of mask logits.
    """

    passed: bool
    message: str
    mean_iou: float = 0.0
    object_iou: float = 0.0
    same_choice: float = 0.0
    cosine: float = 0.0
    median_logit: float = float("inf")
    max_logit: float = float("inf")


def write_gate_inputs(path: Path, spec: ModelSpec, rgb: np.ndarray | None = None) -> None:
    """Stores inputs for a model: four prompts (click, clicks of both signs, text, region with memory) on one picture.

    Args:
        path: ``.npz`` file to write.
        spec: Model.
        rgb: uint8 [H, W, 3] network input; default a drawn scene of discs on a gradient.
    """
    height, width = spec.input_hw
    rgb = drawn_scene(height, width) if rgb is None else rgb
    prompts = PromptBatch.empty(spec, 4, points=8, references=0)
    centres = np.array([[0.3, 0.4], [0.6, 0.6], [0.5, 0.5], [0.7, 0.3]], np.float32)
    around = np.array([[0, 0], [0.02, 0], [-0.02, 0], [0, 0.02]], np.float32)
    for i in (0, 1, 3):
        prompts.points_xy[i, :4] = centres[i] + around
        prompts.points_label[i, :4] = 1
    prompts.points_xy[1, 4:6], prompts.points_label[1, 4:6] = [[0.1, 0.1], [0.9, 0.2]], -1
    prompts.prior_box[:] = np.concatenate([centres, np.full((4, 2), 0.2, np.float32)], 1)
    prompts.prior_kind[:] = (PriorKind.CLICK, PriorKind.CLICK, 0, PriorKind.BOX)
    y, x = np.mgrid[: spec.memory_hw[0], : spec.memory_hw[1]]
    disc = np.hypot(x / spec.memory_hw[1] - 0.7, y / spec.memory_hw[0] - 0.3)
    if spec.memory_slots:
        prompts.previous_mask[3], prompts.has_previous[3] = 10 * (0.15 - disc), True
    prompts.select_by[:] = (SelectBy.POINTS, SelectBy.POINTS, SelectBy.TEXT, SelectBy.POINTS)
    word = spec.vocabulary[0].name if spec.vocabulary else "the red cup"
    arrays = {f.name: getattr(prompts, f.name) for f in fields(prompts)}
    texts = np.array(["", "", word, ""])
    np.savez_compressed(path, rgb=rgb, content_hw=np.array([height * 15 // 16, width]), texts=texts, **arrays)


def drawn_scene(height: int, width: int) -> np.ndarray:
    """A picture with edges, colours and texture, the same every time: uint8 [height, width, 3]."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([60 + 80 * x / width, 90 + 60 * y / height, 120 - 50 * x / width], -1)
    for _ in range(12):
        cx, cy, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.04, 0.16) * width
        inside = np.hypot(x - cx, y - cy) < radius
        picture[inside] = rng.uniform(0, 255, 3) + 20 * np.sin(x[inside, None] / rng.uniform(2, 9))
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def read_gate_inputs(path: Path) -> GateInputs:
    """Reads stored inputs.

    Raises:
        PackageError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            prompts = PromptBatch(**{f.name: stored[f.name] for f in fields(PromptBatch)})
            content = stored["content_hw"]
            return GateInputs(
                np.ascontiguousarray(stored["rgb"]),
                (int(content[0]), int(content[1])),
                tuple(str(t) for t in stored["texts"]),
                prompts,
            )
    except (OSError, KeyError, ValueError, PromptError) as error:
        raise PackageError(f"stored gate inputs {path} cannot be read: {error}") from error


def answer(backend: Backend, inputs: GateInputs) -> Answers:
    """Runs everything that a backend can do on the stored inputs."""
    text = backend.encode_text([t for t in inputs.texts if t])
    # A copy with room for the texts; the stored arrays stay as they are.
    prompts = PromptBatch(**{f.name: getattr(inputs.prompts, f.name).copy() for f in fields(PromptBatch)})
    for row, i in enumerate(i for i, t in enumerate(inputs.texts) if t):
        prompts.text_tokens[i], prompts.text_valid[i] = text.tokens[row], text.valid[row]
        prompts.text_embedding[i], prompts.has_text[i] = text.embedding[row], True
    features = backend.encode_image(inputs.rgb, inputs.content_hw)
    objects = backend.decode_objects(features) if backend.spec.object_queries else None
    return Answers(text, backend.decode(features, prompts), objects)


def compare(reference: Answers, found: Answers, precision: str) -> GateResult:
    """Measures one backend's answers against another's.

    Args:
        reference: Of ONNX Runtime in float32.
        found: Of the engine under test.
        precision: Which tolerance holds.
    """
    allowed = TOLERANCES[precision]
    pairs = [(reference.decoded.mask_logits, found.decoded.mask_logits)]
    agreed = reference.decoded.selected == found.decoded.selected  # another query has another embedding, rightly
    embeddings = [
        (reference.decoded.embedding[agreed], found.decoded.embedding[agreed]),
        (reference.text.embedding, found.text.embedding),
    ]
    objects = []
    if reference.objects is not None and found.objects is not None:
        pairs.append((reference.objects.mask_logits, found.objects.mask_logits))
        objects.append((reference.objects.embeddings, found.objects.embeddings))
    if not all(np.isfinite(b).all() for _, b in (*pairs, *embeddings, *objects)):
        return GateResult(False, "answers hold values that are not finite")
    overlap, union = _overlap(*pairs[0])
    iou = float(np.mean(np.where(union > 0, overlap / np.maximum(union, 1), 1.0)))
    overlap, union = _overlap(*pairs[-1])
    # The median: one object query that shows nothing real may lose all of its mask by rounding, a large one as well.
    object_iou = float(np.median(overlap[union > 0] / union[union > 0])) if objects and union.any() else 1.0
    same = float(np.mean(agreed))
    cosine = min(float(_cosines(x, y).min(initial=1.0)) for x, y in embeddings)
    cosine = min([cosine, *(float(np.median(_cosines(x, y))) for x, y in objects)])
    a, b = (np.concatenate([p[i].reshape(len(p[i]), -1) for p in pairs]) for i in (0, 1))
    difference = np.abs(a - b)
    median = float(np.median(difference) / max(float(a.std()), 1e-6))
    good = iou >= allowed.mean_iou and same >= allowed.same_choice and cosine >= allowed.cosine
    good = good and median <= allowed.median_logit and object_iou >= allowed.object_iou
    message = (
        f"{'passed' if good else 'FAILED'} in {precision}: mean IoU {iou:.4f} (>= {allowed.mean_iou}), "
        f"objects {object_iou:.4f} (>= {allowed.object_iou}), same query {same:.2f} (>= {allowed.same_choice}), "
        f"cosine {cosine:.5f} (>= {allowed.cosine}), median logit {median:.1e} (<= {allowed.median_logit:.0e})"
    )
    return GateResult(
        passed=good,
        message=message,
        mean_iou=iou,
        object_iou=object_iou,
        same_choice=same,
        cosine=cosine,
        median_logit=median,
        max_logit=float(difference.max()),
    )


def _overlap(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of intersection and union of masks [N, h, w] of logits."""
    return ((a > 0) & (b > 0)).sum((1, 2)), ((a > 0) | (b > 0)).sum((1, 2))


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (a * b).sum(-1) / np.maximum(norm, 1e-12)
