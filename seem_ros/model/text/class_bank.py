# SPDX-License-Identifier: Apache-2.0
"""The class bank: one unit vector per class name, averaged over 81 sentences about it, computed once and kept on disk.

Reference: CLIP's 80 sentence templates for ImageNet in the official order, preceded by the bare name with a full stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seem_ros.errors import PromptError
from seem_ros.model.text.encoder import TextEncoder
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.sealed import default_cache_dir, read_sealed, write_sealed

TEMPLATES = (
    "{}.",
    "a photo of a {}.",
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)
BACKGROUND = "background"  # official class lists always end with this entry: the class of queries that found nothing
_SUFFIXES = ("-other", "-merged", "-stuff")  # of COCO's panoptic class names; not part of what the thing is called
_CACHE_FORMAT = 1


def plain_class_name(name: str) -> str:
    """COCO's ``sky-other-merged`` as one would say it: ``sky``."""
    for suffix in _SUFFIXES:
        name = name.replace(suffix, "")
    return name


@torch.inference_mode()
def encode_texts(
    encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str], *, batch: int = 256
) -> tuple[Tensor, Tensor, Tensor]:
    """Encode texts, each batch only as far as its longest text.

    Args:
        encoder: the language encoder.
        tokenizer: its tokenizer.
        texts: N texts.
        batch: texts per pass; texts of similar length share a pass.

    Returns:
        tokens [N, L, D] (zero where not valid), valid bool [N, L], embeddings [N, D], where L is the longest text's
        number of tokens. Not normalised.
    """
    ids, valid = tokenizer.encode(texts, encoder.config.length)
    lengths = valid.sum(1)
    device = encoder.lang_proj.device
    tokens = torch.zeros(len(texts), int(lengths.max()), encoder.config.dim, device=device)
    pooled = torch.zeros(len(texts), encoder.config.dim, device=device)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        longest = int(lengths[rows].max())
        index = torch.from_numpy(rows).to(device)
        some_tokens, pooled[index] = encoder(torch.from_numpy(ids[rows, :longest]).to(device))
        tokens[index, :longest] = some_tokens
    mask = torch.from_numpy(valid[:, : tokens.shape[1]]).to(device)
    return tokens.masked_fill(~mask[..., None], 0.0), mask, pooled


@torch.inference_mode()
def class_bank(
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    names: Sequence[str],
    *,
    templates: bool = True,
    cache_dir: str | Path | None = None,
) -> Tensor:
    """One unit vector per class name, from disk when the same weights and names were asked before.

    Args:
        encoder: the language encoder.
        tokenizer: its tokenizer.
        names: N class names. The official lists end with `BACKGROUND`; it is not added here.
        templates: average over `TEMPLATES`, with COCO's name suffixes removed; without, names are used verbatim.
        cache_dir: where banks are kept; None computes without any cache.

    Returns:
        [N, D] float32, rows of length 1.

    Raises:
        PromptError: no names, an empty name or one that is too long.
    """
    if not names:
        raise PromptError("a vocabulary needs at least one class name, got none")
    path = None
    if cache_dir is not None:
        path = Path(cache_dir) / f"{_bank_key(encoder, tokenizer, names, templates)}.bank"
        bank = _read_bank(path, (len(names), encoder.config.dim))
        if bank is not None:
            return bank.to(encoder.lang_proj.device)
    bank = _compute_bank(encoder, tokenizer, names, templates)
    if path is not None:
        write_sealed(path, np.ascontiguousarray(bank.cpu().numpy(), np.float32).tobytes())
    return bank


def bank_cache_dir() -> Path:
    """Where class banks are kept, below the cache's folder."""
    return default_cache_dir() / "class_banks"


def _compute_bank(encoder: TextEncoder, tokenizer: Tokenizer, names: Sequence[str], templates: bool) -> Tensor:
    if templates:
        sentences = [[t.format(plain_class_name(name)) for t in TEMPLATES] for name in names]
    else:
        sentences = [[name] for name in names]
    distinct = list(dict.fromkeys(sentence for group in sentences for sentence in group))
    row_of = {sentence: row for row, sentence in enumerate(distinct)}
    _, _, pooled = encode_texts(encoder, tokenizer, distinct)
    unit = pooled / (pooled.norm(dim=-1, keepdim=True) + 1e-7)
    rows = torch.tensor([[row_of[sentence] for sentence in group] for group in sentences], device=pooled.device)
    return F.normalize(unit[rows].mean(dim=1), dim=-1, eps=0.0)


def _bank_key(encoder: TextEncoder, tokenizer: Tokenizer, names: Sequence[str], templates: bool) -> str:
    """Digest of everything the bank depends on: the weights themselves, the sentences, the vocabulary file."""
    digest = hashlib.sha256(f"{_CACHE_FORMAT} {encoder.config} {templates}".encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy())
    for text in (*names, "\0templates\0", *(TEMPLATES if templates else ())):
        digest.update(text.encode() + b"\0")
    digest.update(tokenizer.encode(list(names[:8]), encoder.config.length)[0].tobytes())
    return digest.hexdigest()[:40]


def _read_bank(path: Path, shape: tuple[int, int]) -> Tensor | None:
    content = read_sealed(path)
    if content is None or len(content) != 4 * shape[0] * shape[1]:
        return None
    bank = np.frombuffer(content, np.float32).reshape(shape).copy()
    return torch.from_numpy(bank) if np.isfinite(bank).all() else None
