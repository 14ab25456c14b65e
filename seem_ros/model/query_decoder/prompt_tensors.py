# SPDX-License-Identifier: Apache-2.0
"""Prompts as padded tensors: what the decoder reads, with no data-dependent shape."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from seem_ros.errors import PromptError
from seem_ros.model.codes import PriorKind, SelectBy


@dataclass
class PromptTensors:
    """N images with P prompts each; every prompt is an element of its own.

    Coordinates are x/W, y/H of the padded network input (specification section 10: p = (r/H, c/W)).

    Attributes:
        points_xy: [N, P, K, 2] float32.
        points_label: [N, P, K] int8: 1 positive, -1 negative, 0 padding.
        text_tokens: [N, P, L, C] float32; text_valid: [N, P, L] bool.
        text_embedding: [N, P, D] float32; has_text: [N, P] bool.
        reference_tokens: [N, P, R, 3, C] float32, one token per level; reference_valid: [N, P, R] bool.
        reference_embedding: [N, P, Cm] float32, mean mask feature of the reference's positive points.
        previous_mask: [N, P, h4, w4] float32 logits; has_previous: [N, P] bool.
        prior_box: [N, P, 4] float32 (cx, cy, w, h); prior_kind: [N, P] int8, see `PriorKind`.
        select_by: [N, P] int8, see `SelectBy`.
    """

    points_xy: Tensor
    points_label: Tensor
    text_tokens: Tensor
    text_valid: Tensor
    text_embedding: Tensor
    has_text: Tensor
    reference_tokens: Tensor
    reference_valid: Tensor
    reference_embedding: Tensor
    previous_mask: Tensor
    has_previous: Tensor
    prior_box: Tensor
    prior_kind: Tensor
    select_by: Tensor

    @staticmethod
    def empty(
        images: int,
        prompts: int,
        *,
        points: int,
        text: int,
        references: int,
        dim: int,
        text_dim: int,
        mask_dim: int,
        mask_hw: tuple[int, int],
        device: torch.device | str = "cpu",
    ) -> PromptTensors:
        """Returns prompts that ask for nothing, to be filled in place."""
        n, p = images, prompts

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(n, p, *shape, dtype=dtype, device=device)

        return PromptTensors(
            points_xy=zeros(points, 2),
            points_label=zeros(points, dtype=torch.int8),
            text_tokens=zeros(text, dim),
            text_valid=zeros(text, dtype=torch.bool),
            text_embedding=zeros(text_dim),
            has_text=zeros(dtype=torch.bool),
            reference_tokens=zeros(references, 3, dim),
            reference_valid=zeros(references, dtype=torch.bool),
            reference_embedding=zeros(mask_dim),
            previous_mask=zeros(*mask_hw),
            has_previous=zeros(dtype=torch.bool),
            prior_box=zeros(4),
            prior_kind=zeros(dtype=torch.int8),
            select_by=zeros(dtype=torch.int8),
        )

    def check(self) -> PromptTensors:
        """Refuses prompts that would read nothing meaningful; only looks at values, so not for traced code.

        Returns:
            Itself.

        Raises:
            PromptError: a used point is not finite or outside the picture, a label, rule or kind is unknown, a text,
                reference or mask that is used holds NaN or infinity, or two fields disagree on the number of prompts.
        """
        count = self.points_label.shape[:2]
        for f in fields(self):
            if getattr(self, f.name).shape[:2] != count:
                raise PromptError(
                    f"{f.name} is for {tuple(getattr(self, f.name).shape[:2])} images x prompts, "
                    f"points_label for {tuple(count)}"
                )
        outside = ((self.points_xy < 0) | (self.points_xy > 1)) & (self.points_label != 0)[..., None]
        outside = (outside | ~torch.isfinite(self.points_xy)).any(-1)  # padding may be anywhere, but somewhere
        if outside.any():
            x, y = self.points_xy[outside][0].tolist()
            raise PromptError(f"a point is at ({x:g}, {y:g}) of the picture; coordinates must be within 0 and 1")
        for name, low, high in (
            ("points_label", -1, 1),
            ("select_by", min(SelectBy), max(SelectBy)),
            ("prior_kind", min(PriorKind), max(PriorKind)),
        ):
            values = getattr(self, name)
            if ((values < low) | (values > high)).any():
                raise PromptError(f"{name} must be within {low:d} and {high:d}, got {values.min()} to {values.max()}")
        for name, mask in (
            ("text_tokens", self.text_valid),
            ("text_embedding", self.has_text),
            ("reference_tokens", self.reference_valid),
            ("previous_mask", self.has_previous),
        ):
            if not torch.isfinite(getattr(self, name)[mask]).all():
                raise PromptError(f"{name} holds NaN or infinity")
        return self

    def trimmed(self) -> PromptTensors:
        """Without the columns of points, text and references that are padding in every prompt: the same prompts.

        Looks at values, so not for traced code.
        """

        def kept(used: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
            columns = used.any(0).any(0).nonzero()[:, 0]
            return {} if len(columns) == used.shape[2] else {name: getattr(self, name)[:, :, columns] for name in names}

        return replace(
            self,
            **kept(self.points_label != 0, ("points_xy", "points_label")),
            **kept(self.text_valid, ("text_tokens", "text_valid")),
            **kept(self.reference_valid, ("reference_tokens", "reference_valid")),
        )

    def to(self, device: torch.device | str) -> PromptTensors:
        """Moves every tensor."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})
