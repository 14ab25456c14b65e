# SPDX-License-Identifier: Apache-2.0
"""A variant with weights made from its key names, and the pictures it has seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.errors import DataError
from seem_ros.model.codes import SelectBy
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.query_decoder.tensors import Decoded, ImageTensors, OfficialCall, QueryState
from seem_ros.model.seem import Seem
from seem_ros.model.text.class_bank import encode_texts
from seem_ros.model.text.tokenizer import Tokenizer


class Runner:
    """Runs one variant on fixtures' inputs.

    Attributes:
        model: the variant.
        bank: [134, 512] class bank of the fixtures, or None.
    """

    def __init__(self, model: Seem, bank: np.ndarray | None, fold: bool | None = None) -> None:
        """Takes a variant.

        Args:
            model: usually from `deterministic_model`.
            bank: [134, 512] class bank of the fixtures; only for those that have classes.
            fold: whether the mask-feature convolution is folded; None = the model's default.
        """
        self.model = model
        self.decoder, self.rules = self.model.decoder, self.model.config.decoder.rules
        self.bank = None if bank is None else torch.from_numpy(bank)
        self.tokenizer = Tokenizer.load()
        self._fold = fold
        self._seen: dict[bytes, tuple[ImageTensors, tuple[int, int]]] = {}

    def pixels(self, image: np.ndarray) -> Tensor:
        """uint8 [h, w, 3] -> normalised, zero-padded [1, 3, H, W]."""
        x = self.model.normalise(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None])
        divisor = self.model.config.size_divisor
        return F.pad(x, (0, -x.shape[3] % divisor, 0, -x.shape[2] % divisor))

    def encode(self, image: np.ndarray) -> tuple[ImageTensors, tuple[int, int]]:
        """A picture's tensors and its padded size; the last few are kept."""
        key = image.tobytes()
        if key not in self._seen:
            if len(self._seen) > 2:
                self._seen.pop(next(iter(self._seen)))
            pixels = self.pixels(image)
            self._seen[key] = self.model.encode_image(pixels, fold=self._fold), tuple(pixels.shape[-2:])
        return self._seen[key]

    def texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [N, L, C], valid [N, L], embeddings [N, D]."""
        return encode_texts(self.model.text_encoder, self.tokenizer, texts)

    def joined_tokens(self, texts: Sequence[str]) -> Tensor:
        """All tokens of several texts, one after another [L, C], as one official call concatenates them."""
        tokens, valid, _ = self.texts(texts)
        return tokens[valid]

    def prompts(
        self,
        image: ImageTensors,
        positive: np.ndarray | None,
        negative: np.ndarray | None,
        padded: tuple[int, int],
        *,
        count: int = 1,
        tokens: Tensor | None = None,
        text: Tensor | None = None,
        select_by: SelectBy = SelectBy.POINTS,
        reference: tuple[Tensor, Tensor] | None = None,
        previous: Tensor | None = None,
    ) -> PromptTensors:
        """Prompt tensors of `count` prompts on one picture.

        Args:
            image: only for sizes.
            positive, negative: bool [count, h, w] at image size, or None.
            padded: height and width of the network input.
            tokens: [L, C] text tokens of every prompt; text: [D] the embedding to select by.
            reference: tokens [R, 3, C] and embedding [Cm].
            previous: [count, H/4, W/4] logits.
        """
        rows = [_points(positive, negative, p, padded) for p in range(count)]
        longest = max(len(labels) for _, labels in rows)
        if image.mask_features is not None:
            mask_hw = tuple(image.mask_features.shape[1:3])
        else:
            assert image.mask_source is not None, "images are prepared with one of the two"
            mask_hw = tuple(image.mask_source.shape[-2:])
        out = PromptTensors.empty(
            1,
            count,
            points=longest,
            text=0 if tokens is None else len(tokens),
            references=0 if reference is None else len(reference[0]),
            dim=512,
            text_dim=512,
            mask_dim=512,
            mask_hw=mask_hw,
        )
        for p, (xy, labels) in enumerate(rows):
            out.points_xy[0, p, : len(labels)] = torch.from_numpy(xy)
            out.points_label[0, p, : len(labels)] = torch.from_numpy(labels)
        if tokens is not None:
            out.text_tokens[:], out.text_valid[:], out.has_text[:] = tokens, True, True
        if text is not None:
            out.text_embedding[:] = text
        if reference is not None:
            out.reference_tokens[:], out.reference_embedding[:] = reference
            out.reference_valid[:] = True
        if previous is not None:
            out.previous_mask[0], out.has_previous[:] = previous, True
        out.select_by[:] = select_by
        return out

    def read(self, image: ImageTensors, mask: np.ndarray, padded: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """What a region reads: tokens [K, 3, C], its mean mask feature [Cm], and the empty negative region's [Cm]."""
        prompt = self.prompts(image, mask[None], None, padded)
        tokens, mean = self.decoder.sample(image, prompt.points_xy, prompt.points_label)
        _, nothing = self.decoder.sample(image, prompt.points_xy, -prompt.points_label)
        return tokens[0, 0], mean[0, 0], nothing[0, 0]

    def answer(self, image: ImageTensors, prompts: PromptTensors, official: OfficialCall | None = None) -> Decoded:
        """`QueryDecoder.decode`."""
        return self.decoder.decode(image, prompts, official, appearance=False)

    def embeddings(self, state: QueryState) -> Tensor:
        """Class embeddings [P, Q, D] of one picture's queries."""
        return (state.hidden @ self.decoder.class_embed)[0]

    def class_logits(self, embeddings: Tensor) -> Tensor:
        """[..., D] -> [..., classes + 1]. Raises DataError when there is no class bank."""
        if self.bank is None:
            raise DataError("classes need golden_lang.npz beside the fixtures, which holds their class bank")
        unit = embeddings / (embeddings.norm(dim=-1, keepdim=True) + 1e-7)
        return self.model.text_encoder.logit_scale.exp() * unit @ self.bank.T

    def text_scores(self, embeddings: Tensor, texts: Tensor) -> Tensor:
        """[Q, D] and [T, D] -> scaled cosines [Q, T]; here, and only here, the scale is limited to 100."""
        unit = embeddings / (embeddings.norm(dim=-1, keepdim=True) + 1e-7)
        wanted = texts / (texts.norm(dim=-1, keepdim=True) + 1e-7)
        return self.model.text_encoder.logit_scale.exp().clamp(max=100) * unit @ wanted.T


def _points(
    positive: np.ndarray | None, negative: np.ndarray | None, prompt: int, padded: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Normalised points [K, 2] (x, y) and labels [K] of one prompt: every pixel of its masks, positives first."""
    found, labels = [], []
    for masks, sign in ((positive, 1), (negative, -1)):
        if masks is not None:
            rows, columns = np.nonzero(masks[prompt])
            found.append(np.stack((columns / padded[1], rows / padded[0]), -1).astype(np.float32).reshape(-1, 2))
            labels.append(np.full(len(rows), sign, np.int8))
    if not found:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int8)
    return np.concatenate(found), np.concatenate(labels)
