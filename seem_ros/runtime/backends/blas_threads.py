# SPDX-License-Identifier: Apache-2.0
"""numpy's threads beside a model's."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


def bind_blas() -> None:
    """From now on numpy multiplies matrices on one thread of this process.

    OpenBLAS's workers spin for a while after every larger product and take the cores from the model that runs next: on
    two cores a picture with four texts took 134 ms with them and 84 ms without (`bench/texts.py`). The
    products here are small. A program that needs its threads back asks `threadpoolctl.threadpool_limits`.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        _log.warning("threadpoolctl is not installed; numpy's threads make the model up to twice as slow")
        return
    threadpool_limits(limits=1, user_api="blas")
