# SPDX-License-Identifier: Apache-2.0
"""Serving with one backend while a better one is made ready, and going back to it when the better one fails."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seem_ros.errors import BackendError
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
from seem_ros.runtime.tensorrt.cuda_memory import DeviceError

_RETRY_AFTER = 300  # pictures served by the safe backend before the better one is tried again
_log = logging.getLogger(__name__)
_serial = itertools.count()


class SwitchingBackend(Backend):
    """Two backends as one: ``safe`` serves at once, the better one as soon as ``prepare`` has made it.

    Features know which backend made them, so a picture encoded before the switch can still be asked after it. When the
    better one's device fails or runs out of memory, the picture is encoded again by the safe one, so that no answer is
    lost.
    """

    def __init__(
        self,
        spec: ModelSpec,
        make_safe: Callable[[], Backend],
        prepare: Callable[[Callable[[float], None]], Backend],
        wanted: str,
        background: bool = True,
    ) -> None:
        """Starts preparing.

        Args:
            spec: Of the model.
            make_safe: Opens the backend that always works; called when first needed.
            prepare: Makes the better backend, telling the share that is done; raises BackendError if it cannot.
            wanted: Name of the better backend, for messages.
            background: Prepare in a thread; else now.

        Raises:
            BackendError: Without ``background``, neither backend can serve.
        """
        self.spec = spec
        self._make_safe, self._prepare, self._wanted = make_safe, prepare, wanted
        self._owner = f"switching-{next(_serial)}"
        self._safe: Backend | None = None
        self._better: Backend | None = None
        self._arrived: Backend | None = None
        self._problem = ""
        self._percent: int | None = 0
        self._pause = 0
        self._closing = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._work, name=f"prepare-{wanted}", daemon=True)
            self._thread.start()
        else:
            self._work()
            if self._arrived is None:
                self._safe_backend()

    @property
    def status(self) -> BackendStatus:
        """What serves now; says "building, 42 %" meanwhile."""
        status = self._now().status
        with self._lock:
            percent, problem = self._percent, self._problem
        if percent is not None:
            return replace(status, message=f"{self._wanted}: building, {percent} %", building_percent=percent)
        return replace(status, message=problem, degraded=True) if problem else status

    def encode_image(self, rgb: np.ndarray, content_hw: tuple[int, int] | None = None) -> ImageFeatures:
        """See `Backend.encode_image`."""
        content = self.check_image(rgb, content_hw)
        self._count_picture()
        backend = self._now()
        try:
            features = backend.encode_image(rgb, content)
        except DeviceError as error:
            backend, features = self._retreat(error), None
        if features is None:
            features = backend.encode_image(rgb, content)
        kept = rgb.copy() if backend is self._better else None
        return ImageFeatures(content, self._owner, (backend, features, kept))

    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        """See `Backend.encode_text`."""
        try:
            return self._now().encode_text(texts)
        except DeviceError as error:
            return self._retreat(error).encode_text(texts)

    def decode(self, features: ImageFeatures, prompts: PromptBatch) -> DecodeBatch:
        """See `Backend.decode`."""
        return self._ask(features, lambda backend, own: backend.decode(own, prompts))

    def decode_objects(self, features: ImageFeatures) -> ObjectBatch:
        """See `Backend.decode_objects`."""
        return self._ask(features, lambda backend, own: backend.decode_objects(own))

    def rest(self) -> None:
        """See `Backend.rest`."""
        with self._lock:
            backends = [b for b in (self._safe, self._better) if b is not None]
        for backend in backends:
            backend.rest()

    def wait(self, timeout_s: float | None = None) -> None:
        """Until preparing is over."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def close(self) -> None:
        """Closes both; a build that runs goes on in its thread and its result is closed."""
        with self._lock:
            self._closing = True
            backends = [b for b in (self._safe, self._better, self._arrived) if b is not None]
            self._safe = self._better = self._arrived = None
        for backend in backends:
            backend.close()

    def _ask(self, features: ImageFeatures, question: Callable[[Backend, ImageFeatures], Any]) -> Any:
        if features.owner != self._owner:
            raise BackendError(f"these features were made by {features.owner}, not by {self._owner}: encode again")
        backend, own, rgb = features.tensors
        try:
            return question(backend, own)
        except DeviceError as error:
            if rgb is None:
                raise
            safe = self._retreat(error)
            return question(safe, safe.encode_image(rgb, features.content_hw))

    def _now(self) -> Backend:
        """The backend for the next call; the owner's thread takes over what the worker made."""
        with self._lock:
            if self._closing:
                raise BackendError("this backend is closed")
            if self._arrived is not None:
                self._better, self._arrived = self._arrived, None
                _log.info("%s serves from now on: %s", self._wanted, self._better.status.message)
            if self._better is not None and self._pause == 0:
                return self._better
        return self._safe_backend()

    def _count_picture(self) -> None:
        """The better backend is tried again after some pictures without it."""
        with self._lock:
            if self._pause:
                self._pause -= 1
                if self._pause == 0 and self._better is not None:
                    self._problem = ""

    def _safe_backend(self) -> Backend:
        if self._safe is None:
            self._safe = self._make_safe()
        return self._safe

    def _retreat(self, error: Exception) -> Backend:
        _log.error("%s failed, going on with the safe backend: %s", self._wanted, error)
        with self._lock:
            self._problem = f"{self._wanted} failed: {error}"
            self._pause = _RETRY_AFTER
        return self._safe_backend()

    def _work(self) -> None:
        try:
            made: Backend | None = self._prepare(self._report)
        except BackendError as error:
            _log.error("%s cannot serve, going on without it: %s", self._wanted, error)
            with self._lock:
                self._percent, self._problem = None, f"{self._wanted}: {error}"
            return
        except Exception as error:  # a library's own failure must not end as a silent dead thread
            _log.exception("%s cannot serve, going on without it", self._wanted)
            with self._lock:
                self._percent, self._problem = None, f"{self._wanted}: {error}"
            return
        with self._lock:
            self._percent = None
            if not self._closing:
                self._arrived, made = made, None
        if made is not None:
            made.close()

    def _report(self, share: float) -> None:
        with self._lock:
            self._percent = min(99, int(100 * share))
