# SPDX-License-Identifier: Apache-2.0
"""Making a model whose weights come from elsewhere: without storage, and without initialising it in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FILLS = (torch.nn.init.normal_, torch.nn.init.uniform_, torch.Tensor.normal_, torch.Tensor.uniform_)


class _NoFilling(TorchFunctionMode):
    """Leaves tensors as they are: random fills of tensors without storage would import 160 MB of torch's compiler."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in _FILLS:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules made inside have names and shapes only; give them tensors with `load_state_dict(..., assign=True)`."""
    with torch.device("meta"), _NoFilling():
        yield
