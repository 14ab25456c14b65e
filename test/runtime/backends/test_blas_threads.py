# SPDX-License-Identifier: Apache-2.0
"""numpy's threads beside a model's, in a process that has just begun."""

import subprocess
import sys

PROGRAM = """
import numpy, threadpoolctl
def threads():
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
threadpoolctl.threadpool_limits(limits=2, user_api="blas")
before = threads()
from seem_ros import Segmenter
Segmenter.load("builtin")
print(before, threads())
"""


def test_a_loaded_model_binds_numpys_products_to_one_thread():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "{2} {1}", done.stdout + done.stderr
