# SPDX-License-Identifier: Apache-2.0
"""Prompts and results as frozen, validated groups of numpy arrays: what crosses the runtime's interface.

Coordinates are normalised (x/W, y/H) to the PADDED network input of H x W pixels: pixel column c lies at c/W.
B counts prompts ("elements") on one picture. Each element has its own queries, tokens and memory slots, so elements
never influence each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from seem_ros.errors import PromptError
from seem_ros.runtime.spec import ModelSpec

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on


@dataclass(frozen=True)
class _Batch:
    """Shape and type checks and row operations shared by every batch; ``_layout`` names axes by letter."""

    _layout: ClassVar[dict[str, tuple[str, type]]] = {}

    def _check(self) -> None:
        sizes: dict[str, tuple[int, str]] = {"2": (2, ""), "3": (3, ""), "4": (4, "")}
        for name, (axes, kind) in self._layout.items():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != kind:
                got = f"{array.dtype} array" if isinstance(array, np.ndarray) else type(array).__name__
                raise PromptError(f"{type(self).__name__}.{name} must be a {np.dtype(kind).name} array, got {got}")
            if array.ndim != len(axes):
                raise PromptError(f"{type(self).__name__}.{name} must have axes {list(axes)}, got shape {array.shape}")
            for axis, size in zip(axes, array.shape, strict=True):
                known, owner = sizes.setdefault(axis, (size, name))
                if size != known:
                    where = f"as in {owner}" if owner else "by definition"
                    raise PromptError(
                        f"{type(self).__name__}.{name} has {size} entries on axis {axis}, must be {known} {where}"
                    )

    def __len__(self) -> int:
        return getattr(self, fields(self)[0].name).shape[0]

    def select(self, indices: Sequence[int] | np.ndarray) -> Self:
        """The rows named by ``indices`` (integers, or a boolean per row), in that order."""
        rows = np.asarray(indices)
        if rows.size == 0:
            rows = rows.astype(np.int64)
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All rows of ``parts`` in order; ``parts`` must not be empty and must agree in every other axis."""
        if not parts:
            raise PromptError(f"{cls.__name__}.concatenate needs at least one batch")
        try:
            return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})
        except ValueError as error:
            if isinstance(error, PromptError):
                raise
            raise PromptError(f"{cls.__name__} parts do not fit together: {error}") from error


@dataclass(frozen=True, eq=False)
class PromptBatch(_Batch):
    """What is asked about one picture, padded; fields as in the module docstring.

    Attributes:
        points_xy: [B, P, 2] float32, normalised x and y.
        points_label: [B, P] int8: +1 positive, -1 negative, 0 padding.
        text_tokens: [B, L, C] float32, from ``TextFeatures.tokens``.
        text_valid: [B, L] bool.
        text_embedding: [B, D] float32, pooled; zeros without text.
        has_text: [B] bool.
        reference_tokens: [B, R, 3, C] float32, one token per level, sign indicator already added.
        reference_valid: [B, R] bool.
        reference_embedding: [B, Cm] float32, mean mask feature of the reference's positive points.
        previous_mask: [B, h4, w4] float32 logits at stride 4.
        has_previous: [B] bool.
        prior_box: [B, 4] float32 (centre x, centre y, width, height), normalised.
        prior_kind: [B] int8: `PriorKind`; official models ignore both.
        select_by: [B] int8: `SelectBy`: which rule picks the winning query.
    """

    points_xy: np.ndarray
    points_label: np.ndarray
    text_tokens: np.ndarray
    text_valid: np.ndarray
    text_embedding: np.ndarray
    has_text: np.ndarray
    reference_tokens: np.ndarray
    reference_valid: np.ndarray
    reference_embedding: np.ndarray
    previous_mask: np.ndarray
    has_previous: np.ndarray
    prior_box: np.ndarray
    prior_kind: np.ndarray
    select_by: np.ndarray

    _layout: ClassVar = {
        "points_xy": ("BP2", np.float32),
        "points_label": ("BP", np.int8),
        "text_tokens": ("BLC", np.float32),
        "text_valid": ("BL", np.bool_),
        "text_embedding": ("BD", np.float32),
        "has_text": ("B", np.bool_),
        "reference_tokens": ("BRVC", np.float32),
        "reference_valid": ("BR", np.bool_),
        "reference_embedding": ("BM", np.float32),
        "previous_mask": ("Bhw", np.float32),
        "has_previous": ("B", np.bool_),
        "prior_box": ("B4", np.float32),
        "prior_kind": ("B", np.int8),
        "select_by": ("B", np.int8),
    }

    def __post_init__(self) -> None:
        self._check()
        if np.abs(self.points_label).max(initial=0) > 1:
            raise PromptError("PromptBatch.points_label must be +1, -1 or 0 (padding)")
        if not np.isfinite(self.points_xy[self.points_label != 0]).all():
            raise PromptError("PromptBatch.points_xy holds coordinates that are not finite")
        for name, low, high in (("prior_kind", 0, 4), ("select_by", 0, 2)):
            values = getattr(self, name)
            if values.size and (values.min() < low or values.max() > high):
                raise PromptError(f"PromptBatch.{name} must be {low}..{high}, got {sorted(set(values.tolist()))}")
        for name in (
            "text_tokens",
            "text_embedding",
            "reference_tokens",
            "reference_embedding",
            "previous_mask",
            "prior_box",
        ):
            if not np.isfinite(getattr(self, name)).all():
                raise PromptError(f"PromptBatch.{name} holds values that are not finite")

    @classmethod
    def empty(
        cls, spec: ModelSpec, count: int, points: int | None = None, references: int | None = None
    ) -> PromptBatch:
        """A batch of ``count`` prompts that ask nothing yet: all padding, arrays fresh and writable.

        Args:
            spec: Model the batch is for.
            count: Number of prompts B; 0 is allowed.
            points: Point slots P, default ``spec.max_points``.
            references: Reference slots R, default ``spec.max_references``.
        """
        sizes = {
            "B": count,
            "P": spec.max_points if points is None else points,
            "L": spec.text_length,
            "R": spec.max_references if references is None else references,
            "V": spec.token_levels,
            "C": spec.token_dim,
            "D": spec.embedding_dim,
            "M": spec.mask_dim,
            "2": 2,
            "4": 4,
            "h": spec.memory_hw[0],
            "w": spec.memory_hw[1],
        }
        return cls(**{n: np.zeros([sizes[a] for a in axes], kind) for n, (axes, kind) in cls._layout.items()})

    def check_fits(self, spec: ModelSpec) -> None:
        """Refuses a batch that was made for another model.

        Raises:
            PromptError: A width or the memory mask's size is not the model's.
        """
        for name, got, wanted in (
            ("text_tokens", self.text_tokens.shape[2], spec.token_dim),
            ("text_embedding", self.text_embedding.shape[1], spec.embedding_dim),
            ("reference_tokens", self.reference_tokens.shape[2:], (spec.token_levels, spec.token_dim)),
            ("reference_embedding", self.reference_embedding.shape[1], spec.mask_dim),
            ("previous_mask", self.previous_mask.shape[1:], spec.memory_hw),
        ):
            if got != wanted:
                raise PromptError(f"PromptBatch.{name} has width {got}, model {spec.name} needs {wanted}")

    def pad_to(self, count: int) -> PromptBatch:
        """This batch with empty prompts appended until it has ``count``.

        Raises:
            PromptError: The batch is already longer.
        """
        missing = count - len(self)
        if missing < 0:
            raise PromptError(f"cannot pad {len(self)} prompts to {count}")
        if missing == 0:
            return self
        padded = {}
        for f in fields(self):
            array = getattr(self, f.name)
            padded[f.name] = np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
        return type(self)(**padded)

    def with_slots(self, points: int, references: int, text: int | None = None) -> PromptBatch:
        """This batch with exactly so many point, reference and text slots.

        Fewer valid entries are padded. More points or references than slots are thinned evenly, in order, each sign in
        proportion (the official models cut at 512 points at random; an even rule is repeatable). Text beyond ``text``
        valid tokens is refused.

        Raises:
            PromptError: A text has more valid tokens than ``text``.
        """
        text = self.text_valid.shape[1] if text is None else text
        if self.text_valid[:, text:].any():
            raise PromptError(f"a text has {int(self.text_valid.sum(1).max())} tokens, the model takes {text}")
        batch = self
        if points != self.points_label.shape[1]:
            rows = [_thin(label, points) for label in self.points_label]
            batch = replace(
                batch,
                points_xy=_gather(self.points_xy, rows, points),
                points_label=_gather(self.points_label, rows, points),
            )
        if references != self.reference_valid.shape[1]:
            rows = [_thin(valid.astype(np.int8), references) for valid in self.reference_valid]
            batch = replace(
                batch,
                reference_tokens=_gather(self.reference_tokens, rows, references),
                reference_valid=_gather(self.reference_valid, rows, references),
            )
        if text != self.text_valid.shape[1]:
            rows = [np.arange(min(text, self.text_valid.shape[1]))] * len(self)
            batch = replace(
                batch,
                text_tokens=_gather(self.text_tokens, rows, text),
                text_valid=_gather(self.text_valid, rows, text),
            )
        return batch


@dataclass(frozen=True, eq=False)
class DecodeBatch(_Batch):
    """Answers for B prompts.

    Attributes:
        mask_logits: [B, hm, wm] float32 at stride ``spec.mask_stride`` of the padded input.
        memory_mask: [B, h4, w4] float32 logits at stride 4: feed back as ``PromptBatch.previous_mask``.
        presence: [B] float32 in 0..1; NaN where the model has no presence head.
        score: [B] float32, selection score of the winning query.
        embedding: [B, D] float32, un-normalised class embedding e of the winner; class logits are
            ``exp(logit_scale) * e / |e| . bank``.
        selected: [B] int32, index of the winning query.
        box: [B, 4] float32 (centre x, centre y, width, height), normalised; NaN where the model has no box head.
        sampled_tokens: [B, P, 3, C] float32: what the prompt's points read from this picture; 0 for padding.
        sampled_embedding: [B, Cm] float32: mean mask feature of the positive points.
        appearance_tokens: [B, 3, C] float32: mean features under the predicted mask, projected like reference tokens.
        appearance_embedding: [B, Cm] float32: mean mask feature under the predicted mask.
    """

    mask_logits: np.ndarray
    memory_mask: np.ndarray
    presence: np.ndarray
    score: np.ndarray
    embedding: np.ndarray
    selected: np.ndarray
    box: np.ndarray
    sampled_tokens: np.ndarray
    sampled_embedding: np.ndarray
    appearance_tokens: np.ndarray
    appearance_embedding: np.ndarray

    _layout: ClassVar = {
        "mask_logits": ("BHW", np.float32),
        "memory_mask": ("Bhw", np.float32),
        "presence": ("B", np.float32),
        "score": ("B", np.float32),
        "embedding": ("BD", np.float32),
        "selected": ("B", np.int32),
        "box": ("B4", np.float32),
        "sampled_tokens": ("BPVC", np.float32),
        "sampled_embedding": ("BM", np.float32),
        "appearance_tokens": ("BVC", np.float32),
        "appearance_embedding": ("BM", np.float32),
    }

    def __post_init__(self) -> None:
        self._check()

    @classmethod
    def empty(cls, spec: ModelSpec, points: int | None = None) -> DecodeBatch:
        """The answer to no prompts at all."""
        sizes = {
            "B": 0,
            "P": spec.max_points if points is None else points,
            "V": spec.token_levels,
            "C": spec.token_dim,
            "D": spec.embedding_dim,
            "M": spec.mask_dim,
            "4": 4,
            "h": spec.memory_hw[0],
            "w": spec.memory_hw[1],
            "H": spec.mask_hw[0],
            "W": spec.mask_hw[1],
        }
        return cls(**{n: np.zeros([sizes[a] for a in axes], kind) for n, (axes, kind) in cls._layout.items()})


@dataclass(frozen=True, eq=False)
class ObjectBatch(_Batch):
    """Vocabulary-free object queries of one picture.

    Attributes:
        mask_logits: [Nq, hm, wm] float32 at the model's mask stride.
        embeddings: [Nq, D] float32, un-normalised class embeddings.
        boxes: [Nq, 4] float32 (centre x, centre y, width, height), normalised; NaN where the model has no box head.
    """

    mask_logits: np.ndarray
    embeddings: np.ndarray
    boxes: np.ndarray

    _layout: ClassVar = {
        "mask_logits": ("QHW", np.float32),
        "embeddings": ("QD", np.float32),
        "boxes": ("Q4", np.float32),
    }

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, eq=False)
class TextFeatures(_Batch):
    """Encoded texts.

    Attributes:
        tokens: [N, L, C] float32.
        valid: [N, L] bool, which tokens are text and not padding.
        embedding: [N, D] float32, pooled.
    """

    tokens: np.ndarray
    valid: np.ndarray
    embedding: np.ndarray

    _layout: ClassVar = {"tokens": ("NLC", np.float32), "valid": ("NL", np.bool_), "embedding": ("ND", np.float32)}

    def __post_init__(self) -> None:
        self._check()


def _thin(label: np.ndarray, slots: int) -> np.ndarray:
    """Indices of at most ``slots`` valid entries, each label's share in proportion, evenly spaced, in order."""
    valid = np.flatnonzero(label)
    if len(valid) <= slots:
        return valid
    if slots < 2:  # one sign only: what is meant counts more than what is not
        return np.concatenate([np.flatnonzero(label > 0), np.flatnonzero(label < 0)])[:slots]
    positive, negative = np.flatnonzero(label > 0), np.flatnonzero(label < 0)
    keep_positive = round(slots * len(positive) / len(valid))
    keep_positive = min(max(keep_positive, min(1, len(positive))), slots - min(1, len(negative)))
    kept = [
        group[np.linspace(0, len(group) - 1, count).round().astype(np.int64)]
        for group, count in ((positive, keep_positive), (negative, slots - keep_positive))
        if count
    ]
    return np.sort(np.concatenate(kept)) if kept else valid[:0]


def _gather(array: np.ndarray, rows: Sequence[np.ndarray], slots: int) -> np.ndarray:
    """Per batch element the given entries of axis 1, zero padded to ``slots``."""
    out = np.zeros((array.shape[0], slots, *array.shape[2:]), array.dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = array[i, row]
    return out
