# SPDX-License-Identifier: Apache-2.0
"""What all backends that run exported graphs share: splitting, padding, text cache, checks."""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from seem_ros.errors import BackendError, PackageError
from seem_ros.model.query_decoder.attention_rules import rule_values
from seem_ros.model.text.tokenizer import Tokenizer
from seem_ros.runtime.backends.blas_threads import bind_blas
from seem_ros.runtime.batch_plan import plan_at_once, spans
from seem_ros.runtime.interface import (
    Backend,
    BackendStatus,
    DecodeBatch,
    ImageFeatures,
    ObjectBatch,
    PromptBatch,
    TextFeatures,
)
from seem_ros.runtime.package import Package
from seem_ros.runtime.text import CachedText

Share = TypeVar("Share")
Result = TypeVar("Result")
_serial = itertools.count()


@dataclass(frozen=True)
class Port:
    """Name, shape and numpy type of a graph's input or output."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype


class Session(ABC):
    """One compiled graph.

    Attributes:
        inputs: What it takes, by name.
        outputs: What it gives, in order.
    """

    inputs: Mapping[str, Port]
    outputs: Sequence[Port]

    @abstractmethod
    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Computes all outputs; arrays may stay on the device (see ``host``).

        Raises:
            BackendError: The device failed.
        """

    def host(self, found: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Outputs as numpy arrays of their own."""
        return dict(found)

    def keep(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs that stay good when this session runs again."""
        return dict(found)

    def rest(self) -> None:  # noqa: B027 -- most sessions keep nothing between runs
        """Gives back memory that only the next run will need."""

    def close(self) -> None:  # noqa: B027 -- most sessions free themselves
        """Frees the device."""


class GraphBackend(Backend):
    """Runs a package's graphs through sessions that a runtime opens."""

    def __init__(
        self,
        package: Package,
        open_session: Callable[[str], Session],
        status: BackendStatus,
        cache_dir: Path | None = None,
        preload: bool = False,
        graphs: str | None = None,
        at_once: int = 1,
    ) -> None:
        """Opens the image encoder, and where sessions may share the cores the decoder of one prompt beside it; other
        graphs are opened when first needed.

        Args:
            package: Verified package.
            open_session: File name in the package to a session.
            status: What to report.
            cache_dir: Root of the disk cache for texts, or None.
            preload: Open every graph now, so that no later call waits for it.
            graphs: Precision of the graphs to run, where the runtime lowers it by itself; default the status'.
            at_once: Decoders that may run at the same time, each on a part of the prompts; more than one where a
                session may be run by several threads.

        Raises:
            PackageError: A graph is another model's.
            BackendError: The runtime cannot run a graph.
        """
        bind_blas()
        self.spec = package.spec
        self._package, self._open, self._status = package, open_session, status
        self._graphs = package.graph_set(graphs or status.precision)
        self._rules = rule_values(self.spec.rules, self.spec.object_queries, official=True)
        self._owner = f"{status.backend}-{next(_serial)}"
        self._sessions: dict[str, Session] = {}
        self._checked: set[str] = set()
        self._closed, self._at_once = False, at_once
        smallest = self._graphs.small_decoders or self._graphs.decoders
        first = smallest[min(smallest)]
        beside = _begun(lambda: open_session(first)) if at_once > 1 else None
        encoder = self._session(self._graphs.image_encoder)
        self._check(
            self._graphs.image_encoder,
            encoder,
            {
                "image": (*self.spec.input_hw, 3),
                "content_hw": (2,),
            },
        )
        files = (self._graphs.text_encoder, package.weights, package.tokenizer)
        identity = " ".join([status.backend, status.precision, *(self.spec.sha256[f] for f in files)])
        tokenizer = Tokenizer.load(package.path(package.tokenizer))
        sizes = self.spec.text_length, self.spec.token_dim, self.spec.embedding_dim
        self._encode_texts = CachedText(tokenizer, sizes, identity, self._text_features, cache_dir)
        if beside is not None:
            self._sessions[first] = beside.result()
        if preload:
            for name in self._graphs.files():
                self._session(name)

    @property
    def status(self) -> BackendStatus:
        """What serves now."""
        return self._status

    def set_message(self, message: str, degraded: bool = False) -> None:
        """What the status says from now on."""
        self._status = replace(self._status, message=message, degraded=degraded)

    @property
    def package(self) -> Package:
        """The package it runs."""
        return self._package

    def encode_image(self, rgb: np.ndarray, content_hw: tuple[int, int] | None = None) -> ImageFeatures:
        """See `Backend.encode_image`."""
        content = self.check_image(rgb, content_hw)
        feeds = {"image": rgb, "content_hw": np.array(content, np.int32)}
        session = self._session(self._graphs.image_encoder)
        return ImageFeatures(content, self._owner, session.keep(session.run(feeds)))

    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        """See `Backend.encode_text`."""
        return self._encode_texts(texts)

    def decode(self, features: ImageFeatures, prompts: PromptBatch) -> DecodeBatch:
        """See `Backend.decode`; more points than slots are read in several calls, see `_read_points`."""
        tensors = self._tensors(features)
        prompts.check_fits(self.spec)
        given_points = prompts.points_label.shape[1]
        if len(prompts) == 0:
            return DecodeBatch.empty(self.spec, given_points)
        small = self._fits_small(prompts)
        points, references = self.spec.max_points, self.spec.max_references
        if small:
            points = references = self.spec.small_slots
        slots = prompts.with_slots(points, references, self.spec.text_length)
        decoders = self._graphs.small_decoders if small else self._graphs.decoders
        plans = plan_at_once(len(slots), self.spec.prompt_buckets, self._at_once)
        calls = [
            (slots.select(np.arange(start, stop)).pad_to(bucket), stop - start)
            for start, stop, bucket in spans(len(slots), [bucket for plan in plans for bucket in plan])
        ]
        for batch, _ in calls:  # here, for opening is not for several threads
            self._decoder(batch, decoders[len(batch)])

        def answer(share: Sequence[tuple[PromptBatch, int]]) -> list[DecodeBatch]:
            return [self._call(tensors, batch, decoders[len(batch)]).select(np.arange(count)) for batch, count in share]

        left = iter(calls)
        shares = [list(itertools.islice(left, len(plan))) for plan in plans]
        parts = [part for found in _side_by_side(answer, shares) for part in found]
        whole = parts[0] if len(parts) == 1 else DecodeBatch.concatenate(parts)
        return self._restore_points(whole, prompts, features)

    def decode_objects(self, features: ImageFeatures) -> ObjectBatch:
        """See `Backend.decode_objects`."""
        tensors = self._tensors(features)
        if self._graphs.objects is None:
            raise BackendError(f"model {self.spec.name} has no object queries")
        session = self._session(self._graphs.objects)
        found = session.host(session.run({name: tensors[name] for name in session.inputs}))
        return ObjectBatch(**{f.name: found[f.name] for f in fields(ObjectBatch)})

    def rest(self) -> None:
        """See `Backend.rest`."""
        for session in self._sessions.values():
            session.rest()

    def close(self) -> None:
        """Closes every session."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._closed = True

    def _tensors(self, features: ImageFeatures) -> Mapping[str, Any]:
        if features.owner != self._owner:
            raise BackendError(f"these features were made by {features.owner}, not by {self._owner}: encode again")
        return features.tensors

    def _session(self, name: str) -> Session:
        if self._closed:
            raise BackendError("this backend is closed")
        if name not in self._sessions:
            self._sessions[name] = self._open(name)
        return self._sessions[name]

    def _fits_small(self, prompts: PromptBatch) -> bool:
        """Whether prompts can go through the small decoders: the answers are the same, with less padding."""
        if not self._graphs.small_decoders or prompts.text_valid.any():
            return False
        used = max((prompts.points_label != 0).sum(1).max(), prompts.reference_valid.sum(1).max(initial=0))
        return used <= self.spec.small_slots

    def _decoder(self, batch: PromptBatch, name: str) -> Session:
        """The session for a batch, checked when it is opened."""
        session = self._session(name)
        if name not in self._checked:
            self._check(
                name,
                session,
                {f.name: getattr(batch, f.name).shape for f in fields(batch) if f.name in session.inputs}
                | {"points_xy": batch.points_xy.shape},
            )
            self._checked.add(name)
        return session

    def _call(self, tensors: Mapping[str, Any], batch: PromptBatch, name: str) -> DecodeBatch:
        session, feeds = self._sessions[name], {}
        for port in session.inputs.values():
            if port.name in tensors:
                feeds[port.name] = tensors[port.name]
            elif port.name in self._rules:  # packages from before have their rules in the graph
                feeds[port.name] = self._rules[port.name]
            else:
                feeds[port.name] = np.ascontiguousarray(getattr(batch, port.name), port.kind)
        found = session.host(session.run(feeds))
        return DecodeBatch(**{f.name: found[f.name] for f in fields(DecodeBatch)})

    def _restore_points(self, answer: DecodeBatch, asked: PromptBatch, features: ImageFeatures) -> DecodeBatch:
        """Gives ``sampled_*`` the point slots that were asked for; zeros where there is no point.

        Masks of prompts with more points than the graph has slots come from an even selection of them; what the points
        read is independent of each other, so all of them are read, a slotful per call.
        """
        slots, count = answer.sampled_tokens.shape[1], asked.points_label.shape[1]
        values = {f.name: getattr(answer, f.name) for f in fields(answer)}
        used = int((asked.points_label != 0).any(0).nonzero()[0].max(initial=-1)) + 1
        if (asked.points_label != 0).sum(1).max() <= slots:
            # Padding may lie between points; with_slots moved them together, so move them back.
            tokens = np.zeros((len(asked), count, *answer.sampled_tokens.shape[2:]), np.float32)
            for i, label in enumerate(asked.points_label):
                at = np.flatnonzero(label)
                tokens[i, at] = answer.sampled_tokens[i, at if count == slots else np.arange(len(at))]
            return DecodeBatch(**values | {"sampled_tokens": tokens})
        parts, means, weights = [], [], []
        for start in range(0, used, slots):
            cut = {f.name: getattr(asked, f.name) for f in fields(asked)}
            cut["points_xy"] = asked.points_xy[:, start : start + slots]
            cut["points_label"] = asked.points_label[:, start : start + slots]
            part = self.decode(features, PromptBatch(**cut))
            parts.append(part.sampled_tokens)
            means.append(part.sampled_embedding)
            weights.append((cut["points_label"] > 0).sum(1, dtype=np.float32))
        tokens = np.zeros((len(asked), count, *answer.sampled_tokens.shape[2:]), np.float32)
        tokens[:, :used] = np.concatenate(parts, 1)
        share = np.stack(weights) / np.maximum(np.sum(weights, 0), 1)
        mean = (np.stack(means) * share[..., None]).sum(0)
        mean = np.where(np.sum(weights, 0)[:, None] > 0, mean, means[0]).astype(np.float32)
        return DecodeBatch(**values | {"sampled_tokens": tokens, "sampled_embedding": mean})

    def _text_features(self, ids: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        session = self._session(self._graphs.text_encoder)
        found = session.host(session.run({"ids": np.ascontiguousarray(ids, session.inputs["ids"].kind)}))
        return found["tokens"], found["embedding"]

    def _check(self, name: str, session: Session, wanted: Mapping[str, tuple[int, ...]]) -> None:
        for port, shape in wanted.items():
            got = session.inputs[port].shape if port in session.inputs else None
            if got != tuple(shape):
                raise PackageError(
                    f"{self._package.path(name)} is not a graph of model {self.spec.name}: input {port} has shape "
                    f"{got}, {tuple(shape)} is expected"
                )


def _begun(work: Callable[[], Result]) -> Future[Result]:
    """What is being done in a thread of its own, not a pool's: a native call that hangs must not keep the process from
    its end."""
    future: Future[Result] = Future()
    threading.Thread(target=_settle, args=(future, work), name="graphs", daemon=True).start()
    return future


def _settle(future: Future[Result], work: Callable[[], Result]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


def _side_by_side(work: Callable[[Share], Result], shares: Sequence[Share]) -> list[Result]:
    """What became of all shares, done at the same time, the first in this thread; raises what one of them raised."""
    others = [_begun(partial(work, share)) for share in shares[1:]]
    own: Future[Result] = Future()
    _settle(own, partial(work, shares[0]))
    wait(others)
    return [future.result() for future in (own, *others)]
