# SPDX-License-Identifier: Apache-2.0
"""CLIP's byte-pair tokenizer, from a vocabulary that ships with this package.

Needs only `tokenizers` and numpy, so a robot that runs an exported model uses the very same code. Reference: CLIP's
published byte-pair encoding; identifiers 49406 (start), 49407 (end, which is also the padding).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers

from seem_ros.errors import ModelError, PromptError

START_ID = 49406
END_ID = 49407
MAX_LENGTH = 77
DATA_FILE = Path(__file__).parents[1] / "data" / "clip_tokenizer.json"

# CLIP was trained on text cleaned by `ftfy`. Of its repairs we make those that occur in text people type or dictate:
# curly quotes, ligatures, full-width forms and HTML entities. We do not guess broken encodings ("cafÃ©").
_SINGLE_QUOTES = "\u02bc\u2018\u2019\u201a\u201b"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f"
_LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "\u017ft",
    "\ufb06": "st",
    "\u0132": "IJ",
    "\u0133": "ij",
    "\u0149": "'n",
}
_CLEANING = str.maketrans(
    {
        **dict.fromkeys(_SINGLE_QUOTES, "'"),
        **dict.fromkeys(_DOUBLE_QUOTES, '"'),
        **_LIGATURES,
        **{chr(0xFF01 + i): chr(0x21 + i) for i in range(94)},
        "\u3000": " ",
    }
)


def clean_text(text: str) -> str:
    """Replace typographic forms that the language encoder never saw by the plain ones it was trained on.

    Args:
        text: any Unicode text.

    Returns:
        The text with straight quotes, ligatures and full-width characters spelled out, HTML entities resolved, white
        space collapsed and stripped. Other non-ASCII letters stay: the vocabulary is byte based and knows them all.
    """
    text = text.translate(_CLEANING)
    return " ".join(html.unescape(html.unescape(text)).split())


class Tokenizer:
    """Turns texts into the language encoder's token ids."""

    def __init__(self, encoder: tokenizers.Tokenizer) -> None:
        encoder.encode_special_tokens = True  # the words "<|endoftext|>" in a prompt are text, not a control token
        self._encoder = encoder

    @classmethod
    def load(cls, path: str | Path | None = None) -> Tokenizer:
        """Read a tokenizer file; without a path, the CLIP vocabulary shipped with this package.

        Raises:
            ModelError: the file is missing or is not a tokenizer.
        """
        path = DATA_FILE if path is None else Path(path)
        if not path.is_file():
            raise ModelError(f"tokenizer file {path} does not exist")
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception for any defect of the file
            raise ModelError(f"{path} is not a tokenizer file: {error}") from error

    def ids(self, text: str) -> list[int]:
        """Token ids of one text, start and end included, without padding.

        Raises:
            PromptError: the text is not a string, or is empty after cleaning.
        """
        if not isinstance(text, str):
            raise PromptError(f"a text prompt must be a string, got {type(text).__name__}")
        cleaned = clean_text(text)
        if not cleaned:
            raise PromptError(f"text prompt is empty: got {text!r}, expected at least one visible character")
        try:
            cleaned.encode()
        except UnicodeEncodeError as error:
            raise PromptError(f"text prompt {cleaned!a} is not valid Unicode: {error.reason}") from error
        ids = self._encoder.encode(cleaned, add_special_tokens=False).ids
        if not ids:
            raise PromptError(f"text prompt has nothing the vocabulary knows: got {text!r}")
        return [START_ID, *ids, END_ID]

    def encode(self, texts: Sequence[str], length: int = MAX_LENGTH) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of several texts, padded to one length.

        A text that does not fit is refused, not cut: a cut sentence names another object and nobody would notice.

        Args:
            texts: N texts.
            length: number of token positions, 3 to 77, counting start and end.

        Returns:
            ids int64 [N, length], padded with the end id as CLIP does, and valid bool [N, length], true from the start
            to the first end id.

        Raises:
            PromptError: no text, an empty one, one with too many tokens (the message says how many).
        """
        if isinstance(texts, str):
            raise PromptError(f"expected a sequence of texts, got the single string {texts!r}")
        if len(texts) == 0:
            raise PromptError("expected at least one text, got none")
        if not 3 <= length <= MAX_LENGTH:
            raise ModelError(f"token length must be 3 to {MAX_LENGTH}, got {length}")
        ids = np.full((len(texts), length), END_ID, np.int64)
        valid = np.zeros((len(texts), length), bool)
        for row, text in enumerate(texts):
            tokens = self.ids(text)
            if len(tokens) > length:
                raise PromptError(
                    f"text prompt has {len(tokens)} tokens with start and end, at most {length} are "
                    f"allowed: {text[:60]!r}..."
                )
            ids[row, : len(tokens)] = tokens
            valid[row, : len(tokens)] = True
        return ids, valid
