# SPDX-License-Identifier: Apache-2.0
"""What a model package is and what its graphs accept: the part of ``model.yaml`` that the program reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from seem_ros.errors import ModelError
from seem_ros.files import check_name
from seem_ros.runtime.postprocess_config import PostprocessConfig

if TYPE_CHECKING:
    from seem_ros.model.config import ModelConfig

RULES = ("v0", "v1", "demo", "joint")
MASK_STRIDES = (2, 4)
RESIZE_RULES = ("fit", "stretch")
MAX_INPUT_PX = 4096  # a side of the network input
MAX_BUCKET = 1024  # prompts of one decoder graph
MAX_LOGIT_SCALE = 20.0  # a log: a cosine of 1 would count as five hundred million
MAX_VOCABULARY = 4096
MAX_NAME_CHARACTERS = 200
# What sizes are plausible: a description beyond them asks for memory that no machine has.
_RANGES = {
    "size_divisor": (1, 1024),
    "token_dim": (1, 16384),
    "embedding_dim": (1, 16384),
    "mask_dim": (1, 16384),
    "text_length": (1, 4096),
    "max_points": (1, 65536),
    "max_references": (0, 65536),
    "memory_slots": (0, 4096),
    "object_queries": (0, 16384),
    "token_levels": (1, 16),
    "small_slots": (0, 65536),
}
DEFAULT_POINTS = 256  # 128 of each sign
SMALL_SLOTS = 32


@dataclass(frozen=True)
class VocabularyEntry:
    """One class of the default vocabulary.

    Attributes:
        name: Shown to people and, where the package holds no bank, encoded as text.
        is_thing: True for countable things (one segment each), False for stuff (merged to one segment).
    """

    name: str
    is_thing: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ModelError(f"a vocabulary entry needs a name that is not empty, got {str(self.name)[:60]!r}")
        if len(self.name) > MAX_NAME_CHARACTERS:
            raise ModelError(
                f"a vocabulary entry's name may have {MAX_NAME_CHARACTERS} characters, got {len(self.name)}"
            )
        if not isinstance(self.is_thing, bool):
            raise ModelError(f"is_thing of {self.name[:60]!r} must be true or false, got {str(self.is_thing)[:60]!r}")

    @classmethod
    def of(cls, plain: Any) -> VocabularyEntry:
        """Reads an entry of a description: a name, or a mapping with ``name`` and ``is_thing``.

        Raises:
            ModelError: It is neither.
        """
        if isinstance(plain, str):
            return cls(plain)
        if set(mapping("a vocabulary entry", plain)) - {"name", "is_thing"} or "name" not in plain:
            raise ModelError(f"a vocabulary entry has a name and is_thing, got {str(plain)[:60]!r}")
        return cls(**plain)


@dataclass(frozen=True)
class ModelSpec:
    """Sizes and rules of one model package.

    Attributes:
        name: Name of the model, e.g. ``lite`` or ``focalt_v1``.
        rules: Attention and selection rules: a name of ``seem_ros.model.query_decoder.attention_rules.RULES``.
        input_hw: Height and width of the network input, pixels; both multiples of ``size_divisor``.
        size_divisor: What height and width have to be divisible by.
        mask_stride: Stride of ``DecodeBatch.mask_logits`` (4 official models, 2 built-in).
        token_dim: Width C of text, point, reference and appearance tokens.
        embedding_dim: Width D of class and text embeddings.
        mask_dim: Width Cm of mask features.
        text_length: Text tokens a prompt can have, L.
        max_points: Points per prompt of the exported graphs, P (both signs together).
        max_references: Reference points per prompt of the exported graphs, R.
        memory_slots: Learned memory vectors per prompt; 0 where the model has none.
        object_queries: Number of vocabulary-free object queries; 0 where the model has none.
        token_levels: Feature levels that prompts are read from.
        has_presence: The decoder says whether what was asked for is in the picture.
        has_prior: The decoder uses ``prior_box`` and ``prior_kind``.
        has_box: The decoder predicts boxes.
        logit_scale: Log of the scale of class logits: ``exp(logit_scale) * cos``.
        resize: How a picture becomes the network input: ``fit`` keeps the aspect ratio and pads right and bottom with
            zeros, ``stretch`` does not.
        precision: Of the graphs: ``fp32``, ``fp16`` or ``bf16``.
        prompt_buckets: Prompt counts that decoder graphs exist for, ascending.
        small_slots: Point slots, and reference slots, of further decoder graphs without text, for the usual prompts: in
            official models padding costs as much as what is asked. 0: no such graphs.
        postprocess: How the model's answers are read; ``thresholds`` in the file.
        vocabulary: Default classes.
        known_words: Words the text encoder was trained on, or None where it knows open language.
        sha256: SHA-256 (hex) of each file of the package, by relative path; empty for a model that lives in memory.
    """

    name: str
    rules: str
    input_hw: tuple[int, int]
    size_divisor: int
    mask_stride: int
    token_dim: int
    embedding_dim: int
    mask_dim: int
    text_length: int
    max_points: int
    max_references: int
    memory_slots: int
    object_queries: int
    token_levels: int = 3
    has_presence: bool = False
    has_prior: bool = False
    has_box: bool = False
    logit_scale: float = 0.0
    resize: str = "fit"
    precision: str = "fp32"
    prompt_buckets: tuple[int, ...] = (1, 4, 16)
    small_slots: int = 0
    postprocess: PostprocessConfig = PostprocessConfig()
    vocabulary: tuple[VocabularyEntry, ...] = ()
    known_words: tuple[str, ...] | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("a model", self.name, ModelError)  # folders are named after it
        _one_of("rules", self.rules, RULES)
        _one_of("mask_stride", self.mask_stride, MASK_STRIDES)
        _one_of("resize", self.resize, RESIZE_RULES)
        _one_of("precision", self.precision, ("fp32", "fp16", "bf16"))
        for name, (low, high) in _RANGES.items():
            whole(name, getattr(self, name), low, high)
        if not isinstance(self.input_hw, tuple) or len(self.input_hw) != 2:
            raise ModelError(f"input_hw must be (height, width), got {str(self.input_hw)[:60]}")
        for name, side in zip(("input height", "input width"), self.input_hw, strict=True):
            if whole(name, side, self.size_divisor, MAX_INPUT_PX) % self.size_divisor:
                raise ModelError(f"{name} must be a multiple of {self.size_divisor}, got {side}")
        for name in ("has_presence", "has_prior", "has_box"):
            if not isinstance(getattr(self, name), bool):
                raise ModelError(f"{name} must be true or false, got {str(getattr(self, name))[:60]!r}")
        scale = self.logit_scale
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not abs(scale) <= MAX_LOGIT_SCALE:
            raise ModelError(f"logit_scale must be a number within +-{MAX_LOGIT_SCALE:g}, got {str(scale)[:60]!r}")
        buckets = self.prompt_buckets
        if not isinstance(buckets, tuple) or not 1 <= len(buckets) <= 16:
            raise ModelError(f"prompt_buckets must be 1 to 16 counts, got {str(buckets)[:60]}")
        for count in buckets:
            whole("prompt_buckets", count, 1, MAX_BUCKET)
        if list(buckets) != sorted(set(buckets)):
            raise ModelError(f"prompt_buckets must be ascending counts from 1, got {buckets!r}")
        if len(self.vocabulary) > MAX_VOCABULARY:
            raise ModelError(f"vocabulary may have {MAX_VOCABULARY} entries, got {len(self.vocabulary)}")

    @property
    def mask_hw(self) -> tuple[int, int]:
        """Size (hm, wm) of ``DecodeBatch.mask_logits``."""
        return self.input_hw[0] // self.mask_stride, self.input_hw[1] // self.mask_stride

    @property
    def memory_hw(self) -> tuple[int, int]:
        """Size (h4, w4) of ``PromptBatch.previous_mask``, stride 4."""
        return self.input_hw[0] // 4, self.input_hw[1] // 4

    @classmethod
    def of_config(cls, config: ModelConfig, input_hw: tuple[int, int], **fields: Any) -> ModelSpec:
        """The spec of a model configuration at one input size.

        Args:
            config: Architecture.
            input_hw: Height and width of the network input, pixels.
            **fields: Any other field of the spec, e.g. ``max_points``, ``vocabulary``, ``postprocess``.

        Raises:
            ModelError: The size does not fit the architecture.
        """
        decoder = config.decoder
        values: dict[str, Any] = {
            "name": config.name,
            "rules": decoder.rules,
            "input_hw": input_hw,
            "size_divisor": config.size_divisor,
            "mask_stride": config.mask_stride,
            "token_dim": decoder.dim,
            "embedding_dim": config.text.dim,
            "mask_dim": decoder.mask_dim,
            "text_length": config.text.length,
            "max_points": DEFAULT_POINTS,
            "max_references": DEFAULT_POINTS,
            "memory_slots": 0 if decoder.rules == "demo" else decoder.memory_slots,
            "object_queries": decoder.object_queries,
            "has_presence": decoder.presence_head,
            "has_prior": decoder.prior,
            "has_box": decoder.box_head,
        }
        if decoder.text_rows and fields.get("max_points", DEFAULT_POINTS) > SMALL_SLOTS:
            values["small_slots"] = SMALL_SLOTS
        return cls(**{**values, **fields})

    def to_mapping(self) -> dict[str, Any]:
        """This spec as plain values for a YAML file."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["input_hw"], plain["prompt_buckets"] = list(self.input_hw), list(self.prompt_buckets)
        plain["vocabulary"] = [{"name": v.name, "is_thing": v.is_thing} for v in self.vocabulary]
        plain["known_words"] = None if self.known_words is None else list(self.known_words)
        plain["thresholds"], plain["sha256"] = plain.pop("postprocess").to_mapping(), dict(self.sha256)
        return plain

    @classmethod
    def from_mapping(cls, plain: Mapping[str, Any]) -> ModelSpec:
        """Reads what :meth:`to_mapping` wrote.

        Raises:
            ModelError: A field is missing, unknown or of the wrong kind.
        """
        known = set(cls.__dataclass_fields__) - {"postprocess"} | {"thresholds"}
        unknown = sorted(str(name) for name in set(plain) - known)
        if unknown:
            raise ModelError(f"unknown model fields {', '.join(unknown)[:200]}; known are {', '.join(sorted(known))}")
        values = dict(plain)
        for name in ("input_hw", "prompt_buckets"):
            if name in values:
                values[name] = tuple(sequence(name, values[name]))
        values["vocabulary"] = tuple(
            VocabularyEntry.of(one) for one in sequence("vocabulary", values.get("vocabulary") or ())
        )
        if values.get("known_words") is not None:
            values["known_words"] = tuple(sequence("known_words", values["known_words"]))
            if not all(isinstance(word, str) for word in values["known_words"]):
                raise ModelError("known_words must be texts; quote those that YAML takes for numbers or truth values")
        values["postprocess"] = PostprocessConfig.from_mapping(
            mapping("thresholds", values.pop("thresholds", None) or {})
        )
        values["sha256"] = mapping("sha256", values.get("sha256") or {})
        if not all(isinstance(one, str) for one in values["sha256"].values()):
            raise ModelError("sha256 must map file names to digests")
        missing = [
            one.name
            for one in fields(cls)
            if one.default is MISSING and one.default_factory is MISSING and one.name not in values
        ]
        if missing:
            raise ModelError(f"model lacks {', '.join(missing)}")
        return cls(**values)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number in a range.

    Raises:
        ModelError: It is none; says the field, what was got and what is allowed.
    """
    if type(value) is not int or not low <= value <= high:
        raise ModelError(f"{name} must be a whole number in {low}..{high}, got {str(value)[:60]!r}")
    return value


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """A mapping from names.

    Raises:
        ModelError: It is none.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ModelError(f"{name} must be a mapping from names to values, got {str(value)[:60]!r}")
    long = next((key for key in value if len(key) > MAX_NAME_CHARACTERS), None)
    if long is not None:
        raise ModelError(f"{name} has a name of {len(long)} characters, {long[:40]!r}...")
    return value


def sequence(name: str, value: Any) -> Sequence[Any]:
    """A list.

    Raises:
        ModelError: It is none.
    """
    if not isinstance(value, (list, tuple)):
        raise ModelError(f"{name} must be a list, got {str(value)[:60]!r}")
    return value


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if not any(type(value) is type(one) and value == one for one in allowed):
        raise ModelError(f"{name} must be one of {allowed}, got {str(value)[:60]!r}")
