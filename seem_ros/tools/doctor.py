# SPDX-License-Identifier: Apache-2.0
"""``python -m seem_ros.tools.doctor``: what a report about a problem should say, as a text to paste.

Versions, the processor, what runs models here, ROS, packages and caches; nothing of it leaves the machine. Paths below
the home folder are written as ``~``.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import seem_ros
from seem_ros.command_line import one_line_errors
from seem_ros.errors import SeemError
from seem_ros.sealed import default_cache_dir

LIBRARIES = (
    "numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt",
    "tensorrt-rtx", "torch", "tokenizers", "rosbags", "av", "mujoco",
)  # fmt: skip
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_bf16", "f16c", "asimd", "asimdhp", "bf16", "i8mm")
ROS_VARIABLES = (
    "ROS_DISTRO", "RMW_IMPLEMENTATION", "ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY",
    "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS", "CYCLONEDDS_URI",
    "ROS_SECURITY_ENABLE", "SEEM_ROS_CACHE", "SEEM_ROS_MODELS", "OMP_NUM_THREADS",
)  # fmt: skip
SHARED_MEMORY = Path("/dev/shm")


def report(seconds: float = 2.0) -> Iterator[str]:
    """The text, line by line; a part that fails says so and the others follow.

    Args:
        seconds: How long topics are listened for; 0 = not at all.
    """
    parts: tuple[tuple[str, Callable[[], Iterator[str]]], ...] = (
        ("versions", _versions),
        ("processor and memory", _processor),
        ("backends", _backends),
        ("model", _model),
        ("cache", _cache),
        ("ROS", lambda: _ros(seconds)),
    )
    for title, part in parts:
        yield f"{title}:"
        try:
            for line in part():
                yield "  " + _without_home(line)
        except Exception as error:  # what is broken is what is looked for here
            yield f"  cannot be told: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _without_home(line: str) -> str:
    """A line with the home folder written as ``~``; a container's user may have / for one."""
    home = str(Path.home())
    return line if home == "/" else re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])", "~", line)


def _versions() -> Iterator[str]:
    yield f"seem_ros {seem_ros.__version__} in {Path(seem_ros.__file__).parent}"
    yield f"Python {platform.python_version()} ({sys.executable})"
    yield f"{platform.platform()}, libc {' '.join(platform.libc_ver())}"
    for name in LIBRARIES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def _processor() -> Iterator[str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    words = set(text.split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield f"{model or platform.machine()}, {cores} of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    yield f"flags: {' '.join(flag for flag in FLAGS if flag in words) or 'none of those that matter'}"
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    yield f"memory {pages * size / 1e9:.1f} GB, free {os.sysconf('SC_AVPHYS_PAGES') * size / 1e9:.1f} GB"


def _backends() -> Iterator[str]:
    from seem_ros.runtime.loader import available_backends, load_backend

    for name in available_backends():
        if name == "torch":  # importing it takes longer than all else here, and no robot runs on it
            yield "torch: installed"
            continue
        begin = time.monotonic()
        try:
            with load_backend(backend=name, background=False) as backend:
                status = backend.status
            yield (
                f"{name}: {status.device}, {status.precision}, {' '.join(status.message.split())[:200]} "
                f"({time.monotonic() - begin:.1f} s)"
            )
        except SeemError as error:
            yield f"{name}: {' '.join(str(error).split())[:300]}"


def _model() -> Iterator[str]:
    from seem_ros.runtime.package import open_package

    package = open_package("builtin")
    spec = package.spec
    size = "x".join(str(side) for side in spec.input_hw)
    yield f"{spec.name} in {package.folder}: {size}, {', '.join(package.graphs)}, verified"


def _cache() -> Iterator[str]:
    folder = default_cache_dir()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    near = next(path for path in (folder, *folder.parents) if path.exists())
    writable = "writable" if os.access(near, os.W_OK) else "NOT writable"
    free = shutil.disk_usage(near).free if near.is_dir() else 0
    yield (
        f"{folder}: {len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.1f} MB, {writable}, disk free "
        f"{free / 1e9:.1f} GB"
    )


def _ros(seconds: float) -> Iterator[str]:
    for name in ROS_VARIABLES:
        if name in os.environ:
            yield f"{name}={os.environ[name]}"
    left = abandoned_ports(SHARED_MEMORY)
    if left:
        yield (
            f"{len(left)} ports of Fast DDS in {SHARED_MEMORY} were left by processes that were killed: one that has "
            f"opened one is not heard by the next owner; where calls stay without an answer, stop all nodes and run "
            f"`fastdds shm clean`"
        )
    import rclpy
    from rclpy.utilities import get_rmw_implementation_identifier

    import seem_ros.msg  # noqa: F401 -- whether the interfaces are built

    yield f"rclpy, rmw {get_rmw_implementation_identifier()}, interfaces of seem_ros found"
    if seconds <= 0:
        return
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("seem_doctor", context=context)
    try:
        time.sleep(seconds)
        topics = {
            name: kinds
            for name, kinds in node.get_topic_names_and_types()
            if any(kind.startswith(("sensor_msgs/msg/", "seem_ros/msg/")) for kind in kinds)
        }
        yield f"nodes: {', '.join(sorted(node.get_node_names())) or 'none'}"
        for name, kinds in sorted(topics.items()):
            publishers, listeners = node.count_publishers(name), node.count_subscribers(name)
            yield f"{name} ({kinds[0]}): {publishers} publishers, {listeners} listeners"
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def abandoned_ports(folder: Path) -> list[Path]:
    """Fast DDS's shared memory ports that an owner took for itself and no longer holds: it was killed.

    Args:
        folder: Where the machine keeps shared memory.
    """
    return [lock for lock in sorted(folder.glob("fast*_port*_el")) if not _is_held(lock)]


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except OSError:  # held, gone meanwhile, or another user's
        return True


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m seem_ros.tools.doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="listen for topics so long (default %(default)s)")
    options = parser.parse_args(arguments)
    for line in report(options.seconds):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
