# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
from seem_ros.process_memory import keep_memory_together

if sys.argv[1] == "together":
    keep_memory_together()
import numpy  # begins threads of its own

allocate = ctypes.CDLL(None).malloc
allocate.restype = ctypes.c_void_p
barrier = threading.Barrier(9)
addresses = []


def work():
    addresses.append(allocate(ctypes.c_size_t(100_000)))
    barrier.wait()
    barrier.wait()


for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
barrier.wait()
own = allocate(ctypes.c_size_t(100_000))
# the first thread's memory and that of other arenas lie terabytes apart
print(sum(abs(address - own) > 1 << 30 for address in addresses))
"""


def test_threads_share_the_memory_of_the_first_one():
    def elsewhere(how):
        done = subprocess.run(
            [sys.executable, "-c", THREADS_THAT_ALLOCATE, how], capture_output=True, text=True, check=True, timeout=60
        )
        return int(done.stdout)

    assert elsewhere("apart") >= 6  # of 8 threads, else this says nothing: another malloc
    assert elsewhere("together") == 0


WITHOUT_THE_CONVERTER = """
import sys
from seem_ros.process_memory import leave_out_converter

leave_out_converter()
import numpy as np
from seem_ros.runtime.loader import load_backend

with load_backend("builtin", "openvino", threads=1) as backend:
    backend.encode_image(np.full((*backend.spec.input_hw, 3), 90, np.uint8))
print([name for name, module in sys.modules.items() if name.startswith("openvino.tools.ovc") and module is not None])
"""


def test_openvino_serves_without_its_converter_of_models():
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_CONVERTER], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
