# SPDX-License-Identifier: Apache-2.0
"""The model cut into graphs with static shapes and plain inputs, ready to be traced.

Inputs are what every runtime can take: uint8 pictures, float32, int32 and bool; TensorRT reads int8 as quantised.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from seem_ros.model.query_decoder.attention_rules import rule_values
from seem_ros.model.query_decoder.prompt_tensors import PromptTensors
from seem_ros.model.query_decoder.tensors import ImageTensors, OfficialCall, RuleTensors
from seem_ros.model.seem import Seem
from seem_ros.model.text.tokenizer import END_ID, START_ID
from seem_ros.runtime.backends.torch_backend import object_results
from seem_ros.runtime.batches import DecodeBatch, PromptBatch
from seem_ros.runtime.spec import ModelSpec

DECODED = tuple(f.name for f in fields(DecodeBatch))
_SINGLE = ("mask_features", "fine_features", "dense", "mask_source", "refined")
_TEXT_ROWS = ("text_tokens", "text_valid")
_INTEGERS = ("points_label", "prior_kind", "select_by")


@dataclass(frozen=True, eq=False)
class Traceable:
    """A module with the inputs it is traced on.

    Attributes:
        module: Takes the inputs in order, returns a tuple.
        inputs: Example tensors by input name; their shapes become the graph's.
        outputs: Output names in order.
    """

    module: nn.Module
    inputs: OrderedDict[str, Tensor]
    outputs: tuple[str, ...]


class ImageGraph(nn.Module):
    """uint8 [H, W, 3] and content_hw int32 [2] to everything prompts share (`ImageTensors`)."""

    def __init__(self, model: Seem) -> None:
        """Takes a model; its timm blocks write their attention out from now on, with the same results."""
        super().__init__()
        self.model = model
        for module in model.modules():
            if getattr(module, "fused_attn", False):  # SAM ViT's, over three axes, has no translation to ONNX
                module.fused_attn = False

    def forward(self, image: Tensor, content_hw: Tensor) -> tuple[Tensor, ...]:
        """Normalises, zeroes the padding (zero after normalisation, as in training) and encodes."""
        height, width = image.shape[:2]
        # Turned last: runtimes keep pixels as they come and drop a turn right before a convolution.
        pixels = self.model.normalise(image.float()[None], channels_last=True)
        inside = (torch.arange(height, dtype=torch.int32) < content_hw[0])[:, None]
        inside = inside & (torch.arange(width, dtype=torch.int32) < content_hw[1])[None]
        pixels = torch.where(inside[..., None], pixels, 0.0).permute(0, 3, 1, 2)
        return tuple(pack_features(self.model.encode_image(pixels)).values())


class TextGraph(nn.Module):
    """Token ids int32 [1, L] to tokens [1, L, C] and embedding [1, D]."""

    def __init__(self, model: Seem) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """See `Seem.encode_text`."""
        return self.model.encode_text(ids.long())


class DecoderGraph(nn.Module):
    """Features, prompts (``PromptBatch`` fields, small integers as int32) and rules to ``DecodeBatch`` fields.

    The rules are inputs (`seem_ros.model.query_decoder.attention_rules.rule_values`): one graph serves all of them.
    """

    def __init__(
        self, model: Seem, features: tuple[str, ...], prompts: tuple[str, ...], rules: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.model, self.features, self.prompts, self.rules = model, features, prompts, rules

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Answers the prompts of one picture."""
        count = len(self.features)
        image = unpack_features(dict(zip(self.features, tensors[:count])))
        given = {name: t[None] for name, t in zip(self.prompts, tensors[count:])}
        if "text_tokens" not in given:  # a small decoder: no text
            label, dim = given["points_label"], self.model.config.decoder.dim
            given["text_tokens"] = image.sources[0].new_zeros(*label.shape[:2], 0, dim)
            given["text_valid"] = label.new_zeros(*label.shape[:2], 0, dtype=torch.bool)
        rules = RuleTensors(**dict(zip(self.rules, tensors[count + len(self.prompts) :])))
        answer = self.model.decode(image, PromptTensors(**given), OfficialCall(rules=rules))
        found = [getattr(answer, name)[0] for name in DECODED]
        return tuple(t.to(torch.int32) if t.dtype == torch.int64 else t.float() for t in found)


class ObjectGraph(nn.Module):
    """Features to ``ObjectBatch`` fields."""

    def __init__(self, model: Seem, features: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.features = model, features

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All object queries."""
        return object_results(self.model, unpack_features(dict(zip(self.features, tensors))))


def pack_features(image: ImageTensors) -> OrderedDict[str, Tensor]:
    """The parts of `ImageTensors` under flat names."""
    packed: OrderedDict[str, Tensor] = OrderedDict()
    for name in ("sources", "keys", "values", "level_masks"):
        for i, tensor in enumerate(getattr(image, name)):
            packed[f"image_{name}_{i}"] = tensor
    for name in _SINGLE:
        if getattr(image, name) is not None:
            packed[f"image_{name}"] = getattr(image, name)
    return packed


def unpack_features(packed: dict[str, Tensor]) -> ImageTensors:
    """Inverse of `pack_features`."""

    def several(name: str) -> list[Tensor]:
        return [packed[key] for key in packed if key.startswith(f"image_{name}_")]

    return ImageTensors(
        sources=several("sources"),
        keys=several("keys"),
        values=several("values"),
        mask_features=packed.get("image_mask_features"),
        level_masks=several("level_masks"),
        fine_features=packed.get("image_fine_features"),
        dense=packed.get("image_dense"),
        mask_source=packed.get("image_mask_source"),
        refined=packed.get("image_refined"),
    )


@torch.no_grad()
def traceables(model: Seem, spec: ModelSpec) -> OrderedDict[str, Traceable]:
    """Every graph of a package: ``image_encoder``, ``text_encoder``, ``objects``, ``decoder_<count>``, and
    ``decoder_<count>_small`` where the spec has small slots."""
    height, width = spec.input_hw
    image = OrderedDict(
        image=torch.zeros(height, width, 3, dtype=torch.uint8),
        content_hw=torch.tensor([height, width], dtype=torch.int32),
    )
    pixels = torch.zeros(1, 3, height, width)
    features = pack_features(model.encode_image(pixels))
    names = tuple(features)
    ids = torch.full((1, spec.text_length), END_ID, dtype=torch.int32)
    ids[0, 0], ids[0, 1] = START_ID, 1
    found: OrderedDict[str, Traceable] = OrderedDict()
    found["image_encoder"] = Traceable(ImageGraph(model).eval(), image, names)
    found["text_encoder"] = Traceable(TextGraph(model).eval(), OrderedDict(ids=ids), ("tokens", "embedding"))
    official = not model.config.decoder.prompt_queries
    rules = {k: torch.from_numpy(v) for k, v in rule_values(spec.rules, spec.object_queries, official).items()}
    sizes = [(count, small) for count in spec.prompt_buckets for small in (False, True)[: 1 + bool(spec.small_slots)]]
    for count, small in sizes:
        slots = (spec.small_slots, spec.small_slots) if small else (spec.max_points, spec.max_references)
        batch = PromptBatch.empty(spec, count, *slots)
        prompts = OrderedDict(
            (f.name, torch.from_numpy(getattr(batch, f.name)))
            for f in fields(PromptBatch)
            if not (small and f.name in _TEXT_ROWS)
        )
        for name in _INTEGERS:
            prompts[name] = prompts[name].to(torch.int32)
        module = DecoderGraph(model, names, tuple(prompts), tuple(rules)).eval()
        inputs = OrderedDict(**features, **prompts, **rules)
        found[f"decoder_{count}{'_small' * small}"] = Traceable(module, inputs, DECODED)
    if spec.object_queries:
        outputs = ("mask_logits", "embeddings", "boxes")
        found["objects"] = Traceable(ObjectGraph(model, names).eval(), features, outputs)
    return found
