# SPDX-License-Identifier: Apache-2.0
"""Tokenizer, language encoder and class bank."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from model_cases import DATA

from seem_ros.errors import ModelError, PromptError
from seem_ros.model.config import PICO, TextConfig
from seem_ros.model.text.class_bank import TEMPLATES, class_bank, encode_texts, plain_class_name
from seem_ros.model.text.encoder import TextEncoder
from seem_ros.model.text.tokenizer import END_ID, START_ID, Tokenizer, clean_text


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.fixture(scope="module")
def golden() -> np.lib.npyio.NpzFile:
    return np.load(DATA / "golden_lang.npz")


def test_token_ids_and_validity_are_the_official_ones(tokenizer, golden):
    ids, valid = tokenizer.encode(json.loads(str(golden["meta"]))["strings"])
    assert np.array_equal(ids, golden["input_ids"])
    assert np.array_equal(valid, golden["attention_mask"].astype(bool))


def test_the_81_templates_are_the_official_ones_in_order(tokenizer, golden):
    ids, _ = tokenizer.encode([template.format("person") for template in TEMPLATES])
    assert np.array_equal(ids[:, :16], golden["person_ids"])


def test_padding_is_the_end_token_and_is_not_valid(tokenizer):
    ids, valid = tokenizer.encode(["a cup"], length=8)
    assert ids[0, 0] == START_ID and (ids[0, 3:] == END_ID).all()
    assert valid[0].tolist() == [True] * 4 + [False] * 4


def test_case_and_white_space_do_not_matter(tokenizer):
    ids, _ = tokenizer.encode(["The  RED\n\tmug ", "the red mug"])
    assert np.array_equal(ids[0], ids[1])


def test_typographic_quotes_ligatures_and_full_width_letters_are_spelled_out():
    assert clean_text("the dog\u2019s \u201cball\u201d") == 'the dog\'s "ball"'
    assert clean_text("\ufb01re \uff43\uff55\uff50\u3000&amp; plate") == "fire cup & plate"


@pytest.mark.parametrize("text", ["caf\u00e9", "\u8d64\u3044\u30dc\u30fc\u30eb", "\U0001f9f8", "\u0434\u043e\u043c"])
def test_other_languages_and_emoji_are_encoded_by_their_bytes(tokenizer, text):
    assert len(tokenizer.ids(text)) > 2


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u3000"])
def test_an_empty_text_is_refused(tokenizer, text):
    with pytest.raises(PromptError, match="empty"):
        tokenizer.encode(["a cup", text])


def test_a_text_over_77_tokens_is_refused_with_its_count_instead_of_cut(tokenizer):
    with pytest.raises(PromptError, match=r"102 tokens.*at most 77"):
        tokenizer.encode(["cup " * 100])
    assert tokenizer.encode(["cup " * 75])[1].all()


@pytest.mark.parametrize("texts", ["a cup", [], [7], [None], ["\ud800"]])
def test_what_is_no_list_of_texts_is_refused(tokenizer, texts):
    with pytest.raises(PromptError):
        tokenizer.encode(texts)


def test_control_words_in_a_prompt_are_text(tokenizer):
    assert END_ID not in tokenizer.ids("a <|endoftext|> cup")[1:-1]


def test_a_missing_or_broken_vocabulary_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.json does not exist"):
        Tokenizer.load(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ModelError, match=r"bad\.json is not a tokenizer"):
        Tokenizer.load(tmp_path / "bad.json")


def test_texts_encoded_together_equal_texts_encoded_alone(small, tokenizer):
    texts = ["a cup", "the very small green bottle on the left of the table", "dog"]
    tokens, valid, pooled = encode_texts(small.text_encoder, tokenizer, texts, batch=2)
    assert tokens.shape[1] == valid.sum(1).max()
    for row, text in enumerate(texts):
        own, used, alone = encode_texts(small.text_encoder, tokenizer, [text])
        torch.testing.assert_close(pooled[row], alone[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(tokens[row, : used.shape[1]], own[0], atol=1e-5, rtol=1e-4)
        assert not tokens[row, used.shape[1] :].any()


def test_a_text_is_pooled_at_its_first_end_token(small, tokenizer):
    ids = torch.from_numpy(tokenizer.encode(["a cup"])[0])
    with torch.inference_mode():
        tokens, pooled = small.text_encoder(ids)
    assert torch.equal(pooled[0], tokens[0, 3])


def test_suffixes_of_class_names_are_removed_with_templates_and_kept_without(small, tokenizer):
    assert plain_class_name("sky-other-merged") == "sky" and plain_class_name("mirror-stuff") == "mirror"
    filled = class_bank(small.text_encoder, tokenizer, ["sky-other-merged", "sky"])
    torch.testing.assert_close(filled[0], filled[1])
    verbatim = class_bank(small.text_encoder, tokenizer, ["sky-other-merged", "sky"], templates=False)
    assert not torch.allclose(verbatim[0], verbatim[1])
    torch.testing.assert_close(verbatim.norm(dim=1), torch.ones(2))


def test_the_class_bank_is_kept_on_disk_and_a_damaged_file_is_made_again(small, tokenizer, tmp_path, monkeypatch):
    names = ["cup", "table"]
    first = class_bank(small.text_encoder, tokenizer, names, cache_dir=tmp_path)
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(TextEncoder, "forward", lambda *_: pytest.fail("encoded again"))
        assert torch.equal(class_bank(small.text_encoder, tokenizer, names, cache_dir=tmp_path), first)
    kept.write_bytes(kept.read_bytes()[:50])
    assert torch.equal(class_bank(small.text_encoder, tokenizer, names, cache_dir=tmp_path), first)
    assert not torch.equal(class_bank(small.text_encoder, tokenizer, ["cup", "mug"], cache_dir=tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_weights_never_read_this_models_bank(small, tokenizer, tmp_path):
    class_bank(small.text_encoder, tokenizer, ["cup"], cache_dir=tmp_path)
    other = TextEncoder(small.config.text).eval()
    class_bank(other, tokenizer, ["cup"], cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_vocabulary_is_refused(small, tokenizer):
    with pytest.raises(PromptError, match="at least one"):
        class_bank(small.text_encoder, tokenizer, [])


@pytest.mark.parametrize("config", [TextConfig(dim=32, layers=2, heads=4), PICO.text], ids=["full table", "factored"])
def test_the_tower_is_the_clip_text_model_of_transformers_name_by_name_and_number_by_number(config):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ours = TextEncoder(config).eval()
    theirs = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=1 if config.token_rank else config.vocab,
            hidden_size=config.dim,
            intermediate_size=4 * config.dim,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.length,
            hidden_act="quick_gelu",
            layer_norm_eps=1e-12,
            attention_dropout=0.0,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
    ).eval()
    theirs = getattr(theirs, "text_model", theirs)
    if config.token_rank:
        theirs.embeddings.token_embedding = ours.tower.embeddings.token_embedding
    assert [name for name, _ in theirs.named_parameters()] == [name for name, _ in ours.tower.named_parameters()]
    theirs.load_state_dict(ours.tower.state_dict(), strict=False)  # some releases count the positions as state
    ids = torch.randint(0, END_ID, (3, 9), generator=torch.Generator().manual_seed(1))
    ids[:, 6:] = END_ID
    with torch.inference_mode():
        want = theirs(input_ids=ids).last_hidden_state @ ours.lang_proj
        torch.testing.assert_close(ours(ids)[0], want, atol=1e-6, rtol=1e-5)


def test_more_tokens_than_positions_are_refused():
    with pytest.raises(ModelError, match=r"78 tokens.*77 positions"):
        TextEncoder(TextConfig(dim=32, layers=1, heads=4))(torch.zeros(1, 78, dtype=torch.int64))
