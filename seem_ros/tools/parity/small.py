# SPDX-License-Identifier: Apache-2.0
"""Fixtures that need no picture: the language encoder and the post-processing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seem_ros.model.deterministic import deterministic_state
from seem_ros.model.official_keys import from_official, official_shapes
from seem_ros.model.text.class_bank import TEMPLATES, class_bank, encode_texts
from seem_ros.model.text.encoder import TextEncoder
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.perception.masks import panoptic
from seem_ros.tools.parity.fixtures import Fixture
from seem_ros.tools.parity.report import SAME_PANOPTIC, ParityReport

THINGS = np.arange(133) < 80


def lang(fixture: Fixture, report: ParityReport, cache_dir: Path | None, classes: int | None = None) -> None:
    """Tokenizer, token and text embeddings, class bank.

    Args:
        fixture: ``golden_lang``.
        report: filled.
        cache_dir: where the class bank is kept between runs.
        classes: how many class names to check; None = all (10,854 sentences, minutes the first time).
    """
    encoder, tokenizer = text_encoder(), Tokenizer.load()
    ids, valid = tokenizer.encode(fixture.meta["strings"])
    report.same("input_ids", ids, fixture["input_ids"])
    report.same("attention_mask", valid, fixture["attention_mask"].astype(bool))
    person, _ = tokenizer.encode([template.format("person") for template in TEMPLATES])
    report.same("person_ids", person[:, :16], fixture["person_ids"])
    tokens, used, pooled = encode_texts(encoder, tokenizer, fixture.meta["strings"])
    length = min(tokens.shape[1], fixture["token_emb"].shape[1])
    kept = used[:, :length].numpy()
    report.close("token_emb", tokens[:, :length].numpy()[kept], fixture["token_emb"][:, :length][kept])
    report.close("class_emb", pooled.numpy(), fixture["class_emb"])
    bank = class_bank(encoder, tokenizer, ["person", "wall-other-merged"], templates=False)
    report.close("noprompt_emb", bank.numpy(), fixture["noprompt_emb"])
    names = fixture.meta["class_names"][:classes]
    bank = class_bank(encoder, tokenizer, names, cache_dir=cache_dir)
    report.close("bank134", bank.numpy(), fixture["bank134"][:classes])


def text_encoder() -> TextEncoder:
    """The language encoder with deterministic weights, alone."""
    encoder = TextEncoder().eval()
    ours = {f"text_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    official = deterministic_state(official_shapes(ours))
    filled = from_official(official, list(ours))
    encoder.load_state_dict({name.removeprefix("text_encoder."): tensor for name, tensor in filled.items()})
    return encoder


def postproc(fixture: Fixture, report: ParityReport) -> None:
    """Panoptic, semantic and instance rules and both resizes, on recorded logits."""
    logits, masks = fixture["mask_cls"], fixture["mask_pred"]
    for name, limits in (("eval", (0.8, 0.8)), ("demo", (0.4, 0.8)), ("loose", (0.3, 0.2))):
        ids, segments = panoptic.panoptic(logits, masks, THINGS, *limits)
        golden = fixture[f"panoptic_{name}"]
        report.mask(f"panoptic_{name}", ids, golden, SAME_PANOPTIC)
        report.same(
            f"segments_{name}",
            [(s.id, s.isthing, s.category_id) for s in segments],
            [(s["id"], s["isthing"], s["category_id"]) for s in fixture.meta[f"segments_{name}"]],
        )
    semantic = panoptic.semantic(logits, masks)
    report.mask("semantic_argmax", semantic.argmax(0), fixture["semantic_argmax"])
    report.close("semantic_c7", semantic[::7], fixture["semantic_c7"])
    scores, classes, found = panoptic.instances(logits, masks, THINGS)
    order = np.argsort(-fixture["inst_scores"], kind="stable")
    report.close("inst_scores", scores, fixture["inst_scores"][order])
    report.same("inst_classes", np.sort(classes), np.sort(fixture["inst_classes"]))
    report.same("inst_masks", np.sort(found.sum((1, 2))), np.sort(fixture["inst_masks"].sum((1, 2))))
    for name in ("resize_up", "resize_down"):
        golden = fixture[name]
        ours = panoptic.to_image(masks[: golden.shape[0]], masks.shape[-2:], (50, 70), golden.shape[-2:])
        report.close(name, ours, golden)
