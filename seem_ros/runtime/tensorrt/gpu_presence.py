# SPDX-License-Identifier: Apache-2.0
"""Is there an NVIDIA GPU? Asked of the driver itself, without any CUDA package."""

from __future__ import annotations

import ctypes


def nvidia_gpu() -> bool:
    """Whether the NVIDIA driver is installed and sees at least one GPU."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False
