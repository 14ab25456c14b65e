# SPDX-License-Identifier: Apache-2.0
"""The torch backend: a model in memory, a checkpoint, or a package's weights. Needs torch; every other one does not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seem_ros.errors import BackendError, PackageError
from seem_ros.model.config import ModelConfig
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.query_decoder.tensors import ImageTensors
from seem_ros.model.seem import Seem
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.runtime.backends.batch_norm_folding import fold_batch_norms
from seem_ros.runtime.checkpoint import read_weights
from seem_ros.runtime.interface import (
    Backend,
    BackendStatus,
    DecodeBatch,
    ImageFeatures,
    ModelSpec,
    ObjectBatch,
    PromptBatch,
    TextFeatures,
)
from seem_ros.runtime.package import Package
from seem_ros.runtime.text import CachedText

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_serial = itertools.count()


class TorchBackend(Backend):
    """Runs a `Seem` in torch, with no limit on prompts, points or references per call.

    Attributes:
        fold_mask_features: Fold the last mask-feature convolution into what reads it (the same answers, faster); None
            leaves it to the model, False is the straightforward formulation.
    """

    fold_mask_features: bool | None = None

    def __init__(
        self,
        model: Seem,
        spec: ModelSpec,
        tokenizer: Tokenizer | None = None,
        device: str | None = None,
        precision: str = "fp32",
        identity: str = "",
        cache_dir: Path | None = None,
    ) -> None:
        """Wraps a model.

        Args:
            model: Model; put to eval mode and moved to ``device``.
            spec: Its sizes and rules, e.g. from ``ModelSpec.of_config``.
            tokenizer: Default: the one that ships with ``seem_ros``.
            device: E.g. ``cpu`` or ``cuda:0``; default CUDA where there is one.
            precision: ``fp32``, or ``fp16``/``bf16`` by autocast (norms, softmax and mask sums stay in float32).
            identity: Name of these weights for the text cache on disk; empty keeps texts in memory only.
            cache_dir: Root of the disk cache.

        Raises:
            BackendError: The device or precision is not available.
        """
        if precision not in _DTYPES:
            raise BackendError(f"precision must be one of {sorted(_DTYPES)}, got {precision!r}")
        device = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
        try:
            self._device = torch.device(device)
            self._model = model.eval().to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise BackendError(f"torch cannot use device {device!r}: {error}") from error
        self.spec = spec
        self._precision = precision
        self._owner = f"torch-{next(_serial)}"
        self._encode_texts = CachedText(
            tokenizer or Tokenizer.load(),
            (spec.text_length, spec.token_dim, spec.embedding_dim),
            f"torch {precision} {identity}",
            self._text_features,
            cache_dir if identity else None,
        )

    @classmethod
    def from_package(
        cls, package: Package, device: str | None = None, precision: str = "fp32", cache_dir: Path | None = None
    ) -> TorchBackend:
        """Rebuilds a package's model from its architecture and weights.

        Raises:
            PackageError: The weights are not those of the architecture.
        """
        model = fold_batch_norms(Seem(ModelConfig.from_dict(dict(package.architecture))).eval())
        try:
            model.load_state_dict(read_weights(package), strict=True)
        except RuntimeError as error:
            raise PackageError(f"{package.path(package.weights)} does not fit {package.spec.name}: {error}") from error
        identity = package.spec.sha256[package.weights] + package.spec.sha256[package.tokenizer]
        tokenizer = Tokenizer.load(package.path(package.tokenizer))
        return cls(model, package.spec, tokenizer, device, precision, identity, cache_dir)

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, input_hw: tuple[int, int] | None = None, rules: str | None = None, **options: Any
    ) -> TorchBackend:
        """Opens an official checkpoint, or the built-in model's training weights, at one input size.

        Args:
            path: Weight file.
            input_hw: Height and width of the network input, pixels; default the model's usual size.
            rules: ``v0``, ``v1`` or ``demo`` where the file's name does not say.
            **options: For the constructor.

        Raises:
            CheckpointError: The file cannot be used.
            ModelError: The size does not fit.
        """
        from seem_ros.runtime.checkpoint import open_checkpoint

        model, spec = open_checkpoint(path, input_hw, rules)
        return cls(model, spec, **options)

    @property
    def model(self) -> Seem | None:
        """The model it runs; None after `close`."""
        return self._model

    @property
    def status(self) -> BackendStatus:
        """What serves now."""
        return BackendStatus("torch", str(self._device), self._precision)

    def encode_image(self, rgb: np.ndarray, content_hw: tuple[int, int] | None = None) -> ImageFeatures:
        """See `Backend.encode_image`."""
        height, width = content_hw = self.check_image(rgb, content_hw)
        with self._running():
            pixels = torch.from_numpy(rgb).to(self._device).permute(2, 0, 1)[None]
            pixels = self._model.normalise(pixels)
            pixels[..., height:, :] = 0
            pixels[..., width:] = 0
            return ImageFeatures(content_hw, self._owner, self._model.encode_image(pixels, self.fold_mask_features))

    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        """See `Backend.encode_text`."""
        return self._encode_texts(texts)

    def decode(self, features: ImageFeatures, prompts: PromptBatch) -> DecodeBatch:
        """See `Backend.decode`."""
        image = self._tensors(features)
        if len(prompts) == 0:
            return DecodeBatch.empty(self.spec, prompts.points_label.shape[1])
        prompts.check_fits(self.spec)
        tensors = PromptTensors(
            **{f.name: torch.from_numpy(getattr(prompts, f.name))[None].to(self._device) for f in fields(prompts)}
        )
        with self._running():
            answer = self._model.decode(image, tensors)
            answer.sampled_tokens = answer.sampled_tokens * (tensors.points_label != 0)[..., None, None]
            return DecodeBatch(
                **{
                    f.name: _numpy(getattr(answer, f.name)[0], np.int32 if f.name == "selected" else np.float32)
                    for f in fields(DecodeBatch)
                }
            )

    def decode_objects(self, features: ImageFeatures) -> ObjectBatch:
        """See `Backend.decode_objects`."""
        image = self._tensors(features)
        if not self.spec.object_queries:
            raise BackendError(f"model {self.spec.name} has no object queries")
        with self._running():
            masks, embeddings, boxes = object_results(self._model, image)
            return ObjectBatch(_numpy(masks, np.float32), _numpy(embeddings, np.float32), _numpy(boxes, np.float32))

    def close(self) -> None:
        """Forgets the model."""
        self._model = None

    def _tensors(self, features: ImageFeatures) -> ImageTensors:
        if features.owner != self._owner:
            raise BackendError(f"these features were made by {features.owner}, not by {self._owner}: encode again")
        return features.tensors

    def _text_features(self, ids: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._running():
            tokens, embedding = self._model.encode_text(torch.from_numpy(ids).to(self._device))
            return _numpy(tokens, np.float32), _numpy(embedding, np.float32)

    def _running(self) -> _Running:
        if self._model is None:
            raise BackendError("this backend is closed")
        return _Running(self._device, _DTYPES[self._precision])


class _Running:
    """No gradients, and autocast; torch's errors become ours.

    Not inference mode: the model keeps position tensors for later calls, which may be training.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._no_grad = torch.no_grad()
        self._autocast = torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)

    def __enter__(self) -> None:
        self._no_grad.__enter__()
        self._autocast.__enter__()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._autocast.__exit__(kind, error, trace)
        self._no_grad.__exit__(kind, error, trace)
        if isinstance(error, torch.cuda.OutOfMemoryError):
            torch.cuda.empty_cache()
            raise BackendError(f"the GPU is out of memory: {error}") from error
        if isinstance(error, RuntimeError) and not isinstance(error, BackendError):
            raise BackendError(f"torch failed: {error}") from error


def object_results(model: Seem, image: ImageTensors) -> tuple[Tensor, Tensor, Tensor]:
    """Masks [Nq, hm, wm], class embeddings [Nq, D] and boxes [Nq, 4] (NaN without box head) of one picture."""
    state = model.decode_objects(image)[-1]
    masks = model.decoder.fine_masks(state, image)[0, 0]
    embeddings = (state.hidden @ model.decoder.class_embed)[0, 0]
    boxes = embeddings.new_full((len(embeddings), 4), float("nan")) if state.box is None else state.box[0, 0]
    return masks, embeddings, boxes


def _numpy(tensor: Tensor, kind: type) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return np.ascontiguousarray((tensor.float() if kind is np.float32 else tensor).numpy(), kind)
