# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

THREADS_THAT_ALLOCATE = """
import ctypes, re, sys, threading
from pathlib import Path
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
# the first thread's arena is the heap that the system knows
heap = re.search(r"^([0-9a-f]+)-([0-9a-f]+) .*[[]heap[]]$", Path("/proc/self/maps").read_text(), re.M)
start, end = (int(edge, 16) for edge in heap.groups())
print(sum(not start <= address < end for address in addresses))
"""


def test_threads_share_the_memory_of_the_first_one():
    def elsewhere(how):
        done = subprocess.run(
            [sys.executable, "-c", THREADS_THAT_ALLOCATE, how], capture_output=True, text=True, check=True, timeout=60
        )
        return int(done.stdout)

    assert elsewhere("apart") >= 6  # of 8 threads, else this says nothing: another malloc
    assert elsewhere("together") == 0
