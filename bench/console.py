# SPDX-License-Identifier: Apache-2.0
"""What the browser console costs, and how old a picture is when it is seen: node, console and page on this machine.

    . scripts/env.sh && python bench/console.py                        # latency and rate, about three minutes
    python bench/console.py latency --runs 400
    python bench/console.py memory --minutes 30                        # viewers come and go

Each figure is printed when it is there, and all are kept in a JSON file. The node follows one target of the tabletop.

- latency: each picture of a camera of 10 pictures a second has its time drawn into it; headless Chromium reads it back
  from the page's canvas, 60 times a second. From publication until it can be read; what the screen adds is not in it.
- rate: results per second of a camera that is faster than the node, without a viewer and with one, by turns; the viewer
  is a socket that reads and acknowledges every picture
- memory: of both processes while viewers come, stay some seconds, and go, some without saying so
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seem_ros.ros.discovery import let_large_images_through, stay_on_this_machine

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("latency", "rate", "memory")
SIZES = {"320x240": (320, 240), "1280x720": (1280, 720)}
FAST_HZ = {"320x240": 60.0, "1280x720": 30.0}  # faster than the node
BITS = 24  # milliseconds of 4.6 hours
PER_ROW = 12
WINDOW_S = 8.0
READ_CODE = """
(size) => new Promise((done) => {
  const canvas = document.getElementById("picture");
  const context = canvas.getContext("2d");
  const found = [];
  let last = -1;
  const look = () => {
    const side = canvas.width / 40;
    const data = context.getImageData(0, canvas.height - 2 * side, canvas.width, 2 * side);
    let code = 0;
    for (let bit = 0; bit < 24; bit += 1) {
      const x = Math.floor(((bit % 12) + 0.5) * side);
      const y = Math.floor((Math.floor(bit / 12) + 0.5) * side);
      code = code * 2 + (data.data[4 * (y * data.width + x)] > 128 ? 1 : 0);
    }
    if (code !== last) {
      if (last >= 0) found.push((Date.now() % 16777216) - code);
      last = code;
    }
    if (found.length >= size) done(found);
    else requestAnimationFrame(look);
  };
  look();
})
"""


class Report:
    """Prints every figure when it is there, and keeps all in a JSON file."""

    def __init__(self, path: Path) -> None:
        self._path, self._values = path, {}

    def note(self, name: str, value: Any) -> None:
        """One figure, or some of one kind."""
        self._values[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
        self._path.write_text(json.dumps(self._values, indent=2))


def with_time(picture: np.ndarray, now_s: float) -> np.ndarray:
    """A picture, uint8 [H, W, 3], with milliseconds drawn into its lower left corner as black and white squares."""
    code, side = round(now_s * 1e3) % 2**BITS, picture.shape[1] // 40
    picture = picture.copy()
    top = picture.shape[0] - 2 * side
    for bit in range(BITS):
        row, column = divmod(bit, PER_ROW)
        value = 255 if code >> (BITS - 1 - bit) & 1 else 0
        picture[top + row * side : top + (row + 1) * side, column * side : (column + 1) * side] = value
    return picture


class Camera:
    """Publishes pictures from a thread."""

    def __init__(self, client: Any, pictures: list[np.ndarray], rate_hz: float) -> None:
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import Image

        qos = qos_profile_sensor_data if pictures[0].nbytes < 500_000 else 1  # large ones need reliable delivery
        self._publisher = client.node.create_publisher(Image, "/bench/image", qos)
        self._pictures, self._period_s, self._ended = itertools.cycle(pictures), 1.0 / rate_hz, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        from std_msgs.msg import Header

        from seem_ros.ros.messages.images import array_to_image, ns_to_stamp

        due_s = time.monotonic()
        for picture in self._pictures:
            if self._ended.is_set():
                return
            now_s = time.time()
            header = Header(stamp=ns_to_stamp(int(now_s * 1e9)), frame_id="bench_optical_frame")
            self._publisher.publish(array_to_image(with_time(picture, now_s), header))
            due_s = max(due_s + self._period_s, time.monotonic() - self._period_s)
            time.sleep(max(0.0, due_s - time.monotonic()))

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(5)


@contextmanager
def stage(size: str, rate_hz: float, out: Path) -> Iterator[tuple[Any, int, int, int]]:
    """Node, camera and console; one target is followed.

    Yields:
        The client, the console's port, and the process ids of node and console.
    """
    from seem_ros.datasets.recorded_clip import RecordedClip, find_clip
    from seem_ros.demo.story import box_of
    from seem_ros.msg import Prompt
    from seem_ros.ros.client import SeemClient

    width, height = SIZES[size]
    shots = list(RecordedClip(find_clip("tabletop")))
    shots = shots[:20] + shots[18:0:-1]  # there and back: nothing jumps
    pictures = [cv2.resize(shot.rgb, (width, height), interpolation=cv2.INTER_CUBIC) for shot in shots]
    logs = [(out / f"{name}.log").open("w") for name in ("node", "console")]
    node = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "seem"), "--ros-args", "-r", "image:=/bench/image"],
        stdout=logs[0], stderr=subprocess.STDOUT,
    )  # fmt: skip
    console = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "console"), "--port", "0", "--no-open"],
        stdout=logs[1], stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        with SeemClient(timeout_s=60.0) as client:
            camera = Camera(client, pictures, rate_hz)
            try:
                box = box_of(shots[0], 1)
                scale = width / 320, height / 240
                for name in ("x0", "x1"):
                    setattr(box, name, getattr(box, name) * scale[0])
                for name in ("y0", "y1"):
                    setattr(box, name, getattr(box, name) * scale[1])
                end = time.monotonic() + 60
                while True:
                    try:
                        client.segment([Prompt(boxes=[box])], track=True)
                        break
                    except Exception as error:  # the node starts, or has no picture yet
                        if time.monotonic() > end:
                            raise SystemExit(f"the node does not answer: {error}") from error
                        time.sleep(0.5)
                port = 0
                while not port:
                    printed = (out / "console.log").read_text()
                    port = int(printed.split("http://127.0.0.1:")[1].split("/")[0]) if "http://" in printed else 0
                    time.sleep(0.1)
                yield client, port, node.pid, console.pid
            finally:
                camera.close()
    finally:
        for process in (console, node):
            process.send_signal(signal.SIGINT)
        for process in (console, node):
            process.wait(20)
        for log in logs:
            log.close()


async def view(port: int, ended: Callable[[], bool]) -> int:
    """A viewer without a screen: reads and acknowledges every picture. Returns how many it got."""
    import websockets

    count = 0
    async with websockets.connect(f"ws://127.0.0.1:{port}/socket", compression=None, max_size=None) as ws:
        while not ended():
            message = await ws.recv()
            if isinstance(message, bytes):
                count += 1
                await ws.send('{"type":"shown"}')
                continue
            told = json.loads(message)
            if told["type"] == "graph":
                for node in told["nodes"]:
                    for camera in node["cameras"]:
                        await ws.send(json.dumps({"type": "watch", "node": node["name"], "camera": camera["name"]}))
    return count


def latency(report: Report, out: Path, sizes: list[str], runs: int) -> None:
    """From the publication of a picture to its being readable in the page."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no chromium here (apt install chromium)")
    for size in sizes:
        with stage(size, 10.0, out) as (_, port, _, _), sync_playwright() as driver:
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = driver.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(120_000)
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("#stage[data-stamp]")
            page.evaluate(READ_CODE, 30)
            ages_ms = page.evaluate(READ_CODE, runs)
            browser.close()
        report.note(f"latency {size}", {
            "p50_ms": round(float(np.percentile(ages_ms, 50))), "p95_ms": round(float(np.percentile(ages_ms, 95))),
            "pictures": len(ages_ms),
        })  # fmt: skip


def rate(report: Report, out: Path, sizes: list[str], rounds: int) -> None:
    """Results per second without and with a viewer, by turns."""
    from seem_ros.msg import TargetArray

    for size in sizes:
        with stage(size, FAST_HZ[size], out) as (client, port, _, _):
            count = [0]

            def on_targets(_: Any, count: list[int] = count) -> None:
                count[0] += 1

            client.listen(TargetArray, "/seem/targets", on_targets)
            rates: dict[bool, list[float]] = {False: [], True: []}
            shown = 0.0
            for viewed in (False, True, True, False) * rounds:
                ended = threading.Event()
                viewer = None
                if viewed:
                    got: list[int] = []
                    viewer = threading.Thread(
                        target=lambda: got.append(asyncio.run(view(port, ended.is_set))),  # noqa: B023
                    )
                    viewer.start()
                time.sleep(5.0)  # a feed that nobody watches ends after three seconds
                before, begin = count[0], time.monotonic()
                time.sleep(WINDOW_S)
                rates[viewed].append((count[0] - before) / (time.monotonic() - begin))
                ended.set()
                if viewer is not None:
                    viewer.join(10)
                    shown = got[0] / (WINDOW_S + 5.0) if got else 0.0
        without, with_one = float(np.median(rates[False])), float(np.median(rates[True]))
        report.note(f"rate {size}", {
            "without_hz": round(without, 2), "with_a_viewer_hz": round(with_one, 2),
            "fall_percent": round(100 * (1 - with_one / without), 1), "shown_hz": round(shown, 1),
            "all": {str(key): [round(one, 2) for one in values] for key, values in rates.items()},
        })  # fmt: skip


def own_memory_mb(pid: int) -> float:
    """A process's own memory in megabytes, without pages of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)
                 if name in ("RssAnon", "RssShmem", "VmSwap")}  # fmt: skip
    return sum(kilobytes.values()) * 1.024e-3


def memory(report: Report, out: Path, minutes: float) -> None:
    """Memory of node and console while viewers come and go."""
    with stage("320x240", 15.0, out) as (_, port, node, console):

        async def visit() -> None:
            end = time.monotonic() + random.uniform(1, 12)
            try:
                await asyncio.wait_for(view(port, lambda: time.monotonic() > end), random.uniform(2, 12))
            except Exception:
                pass  # gone without a word, or one too many

        async def come_and_go(until_s: float) -> int:
            visits, here = 0, set()
            while time.monotonic() < until_s:
                here = {one for one in here if not one.done()}
                if len(here) < random.randint(0, 12):
                    here.add(asyncio.create_task(visit()))
                    visits += 1
                await asyncio.sleep(0.5)
            await asyncio.gather(*here)
            return visits

        begin, samples, visits = time.monotonic(), [], 0
        while (passed_s := time.monotonic() - begin) < 60 * minutes:
            visits += asyncio.run(come_and_go(time.monotonic() + 20))
            samples.append((passed_s, own_memory_mb(node), own_memory_mb(console)))
        # the first fifth is warming up; the rest is halved, and the halves' medians are compared
        kept = samples[len(samples) // 5 :]
        half = len(kept) // 2
        for column, name in ((1, "node"), (2, "console")):
            first, second = (float(np.median([one[column] for one in part])) for part in (kept[:half], kept[half:]))
            report.note(f"memory {name}", {
                "first_half_mb": round(first, 1), "second_half_mb": round(second, 1),
                "change_percent": round(100 * (second / first - 1), 2),
            })  # fmt: skip
        report.note("visits", {"count": visits, "minutes": minutes})


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; default latency and rate")
    parser.add_argument("--runs", type=int, default=300, help="pictures per size for the latency")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="of pictures; default both")
    parser.add_argument("--rounds", type=int, default=3, help="of turns without and with a viewer, for the rate")
    parser.add_argument("--minutes", type=float, default=30.0, help="for the memory")
    parser.add_argument("--out", type=Path, default=Path("out/bench_console"))
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    stay_on_this_machine(101 + os.getpid() % 100)
    os.environ.setdefault("ROS_LOG_DIR", str(options.out / "ros_log"))
    let_large_images_through()
    report = Report(options.out / "console.json")
    parts = options.parts or ["latency", "rate"]
    if "latency" in parts:
        latency(report, options.out, options.sizes, options.runs)
    if "rate" in parts:
        rate(report, options.out, options.sizes, options.rounds)
    if "memory" in parts:
        memory(report, options.out, options.minutes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
