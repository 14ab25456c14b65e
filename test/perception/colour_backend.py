# SPDX-License-Identifier: Apache-2.0
"""A small model by hand, to test what stands on top of one: things are blobs of one colour.

Points, references and texts mean a colour; the answer is the connected blob of that colour under the points, else near
the previous mask, else the largest. Presence is how well the blob's colour matches. Deterministic and exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from seem_ros.errors import BackendError, PromptError
from seem_ros.runtime.interface import (
    Backend,
    BackendStatus,
    DecodeBatch,
    ImageFeatures,
    ModelSpec,
    ObjectBatch,
    PromptBatch,
    TextFeatures,
    VocabularyEntry,
)
from seem_ros.runtime.postprocess_config import PostprocessConfig

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 40, 220),
    "yellow": (230, 220, 30),
    "grey": (128, 128, 128),
    "white": (250, 250, 250),
    "background": (90, 90, 90),
}
HEIGHT, WIDTH, STRIDE = 96, 128, 2
_TOLERANCE = 40.0


def code(rgb: np.ndarray) -> np.ndarray:
    """Colours [..., 3] in 0..255 as features [..., 4]: zero-centred, with a constant so that grey has a direction."""
    rgb = np.asarray(rgb, np.float32)
    return np.concatenate([(rgb - 128) / 128, np.full((*rgb.shape[:-1], 1), 0.1, np.float32)], axis=-1)


def decode_colour(feature: np.ndarray) -> np.ndarray:
    """The colour of a feature."""
    return feature[..., :3] * 128 + 128


class ColourBackend(Backend):
    """See the module's docstring; counts its calls."""

    def __init__(self, has_presence: bool = True, max_points: int = 16) -> None:
        self.spec = ModelSpec(
            name="colour",
            rules="demo",
            input_hw=(HEIGHT, WIDTH),
            size_divisor=32,
            mask_stride=STRIDE,
            token_dim=4,
            embedding_dim=4,
            mask_dim=4,
            text_length=8,
            max_points=max_points,
            max_references=8,
            memory_slots=1,
            object_queries=6,
            has_presence=has_presence,
            has_prior=True,
            logit_scale=3.0,
            postprocess=PostprocessConfig(presence_found=0.5),
            vocabulary=tuple(VocabularyEntry(name, name != "grey") for name in ("red", "green", "blue", "grey")),
            known_words=(*COLOURS, "mug", "thing"),
        )
        self.encoded = self.decoded = self.texts = 0
        self.batch_sizes: list[int] = []

    @property
    def status(self) -> BackendStatus:
        return BackendStatus("colour", "CPU", "fp32")

    def encode_image(self, rgb: np.ndarray, content_hw: tuple[int, int] | None = None) -> ImageFeatures:
        content = self.check_image(rgb, content_hw)
        self.encoded += 1
        small = cv2.resize(rgb, (WIDTH // STRIDE, HEIGHT // STRIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        inside = np.zeros(small.shape[:2], bool)
        inside[: -(-content[0] // STRIDE), : -(-content[1] // STRIDE)] = True
        return ImageFeatures(content, "colour", (small, inside))

    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        self.texts += len(texts)
        rows = []
        for text in texts:
            if not text:
                raise PromptError("an empty text")
            words = [word for word in text.lower().split() if word in COLOURS]
            rows.append(code(COLOURS[words[0]] if words else (128, 128, 128)))
        embedding = np.stack(rows).astype(np.float32)
        return TextFeatures(embedding[:, None], np.ones((len(texts), 1), bool), embedding)

    def decode(self, features: ImageFeatures, prompts: PromptBatch) -> DecodeBatch:
        if features.owner != "colour":
            raise BackendError("features of another backend")
        self.decoded += 1
        self.batch_sizes.append(len(prompts))
        rows = [self._one(features.tensors, prompts, i) for i in range(len(prompts))]
        if not rows:
            return DecodeBatch.empty(self.spec, prompts.points_label.shape[1])
        return DecodeBatch(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})

    def _one(self, tensors: tuple[np.ndarray, np.ndarray], prompts: PromptBatch, i: int) -> dict[str, np.ndarray]:
        image, inside = tensors
        height, width = image.shape[:2]
        columns = np.clip((prompts.points_xy[i, :, 0] * width).astype(int), 0, width - 1)
        rows = np.clip((prompts.points_xy[i, :, 1] * height).astype(int), 0, height - 1)
        sign = prompts.points_label[i]
        read = code(image[rows, columns])
        positive = sign > 0
        if positive.any():
            wanted = np.median(read[positive], axis=0)
        elif prompts.reference_valid[i].any():
            wanted = prompts.reference_embedding[i]
        else:
            wanted = prompts.text_embedding[i]
        wanted = decode_colour(wanted)
        distance = np.linalg.norm(image - wanted, axis=2)
        match = ((distance < _TOLERANCE) & inside).astype(np.uint8)
        match[rows[sign < 0], columns[sign < 0]] = 0
        count, blobs, stats, centres = cv2.connectedComponentsWithStats(match, connectivity=4)
        mask = np.zeros((height, width), bool)
        if count > 1:
            best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            under = blobs[rows[positive], columns[positive]]
            if (under > 0).any():
                best = int(np.bincount(under[under > 0]).argmax())
            elif prompts.prior_kind[i]:
                wanted_at = prompts.prior_box[i, :2] * (width, height)
                best = 1 + int(np.linalg.norm(centres[1:] - wanted_at, axis=1).argmin())
            if stats[best, cv2.CC_STAT_AREA] >= 4:
                mask = blobs == best
        seen = code(image[mask].mean(axis=0)) if mask.any() else np.zeros(4, np.float32)
        error = float(distance[mask].mean()) if mask.any() else 255.0
        logits = np.where(mask, 8.0, -8.0).astype(np.float32)
        memory = logits.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        presence = max(0.0, 1.0 - error / 60.0) if self.spec.has_presence else np.nan
        mean_read = read[positive].mean(axis=0) if positive.any() else np.zeros(4)
        return {
            "mask_logits": logits,
            "memory_mask": memory.astype(np.float32),
            "presence": np.float32(presence),
            "score": np.float32(1),
            "embedding": seen.astype(np.float32),
            "selected": np.int32(0),
            "box": np.full(4, np.nan, np.float32),
            "sampled_tokens": np.repeat(read[:, None], 3, axis=1).astype(np.float32),
            "sampled_embedding": mean_read.astype(np.float32),
            "appearance_tokens": np.repeat(seen[None], 3, axis=0).astype(np.float32),
            "appearance_embedding": seen.astype(np.float32),
        }

    def decode_objects(self, features: ImageFeatures) -> ObjectBatch:
        masks, embeddings = [], []
        for name in ("red", "green", "blue", "grey", "yellow", "white"):
            image, inside = features.tensors
            mask = (np.linalg.norm(image - np.array(COLOURS[name]), axis=2) < _TOLERANCE) & inside
            masks.append(np.where(mask, 8.0, -8.0).astype(np.float32))
            embeddings.append(code(COLOURS[name] if mask.any() else COLOURS["background"]))
        boxes = np.full((len(masks), 4), np.nan, np.float32)
        return ObjectBatch(np.stack(masks), np.stack(embeddings).astype(np.float32), boxes)

    def close(self) -> None:
        pass


def scene(blobs: dict[tuple[int, int], str], size: int = 16, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A grey picture uint8 [height, width, 3] with a coloured square of ``size`` pixels around each centre (x, y)."""
    picture = np.full((height, width, 3), 90, np.uint8)
    for (x, y), name in blobs.items():
        half = size // 2
        picture[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = COLOURS[name]
    return picture
