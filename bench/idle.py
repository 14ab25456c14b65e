# SPDX-License-Identifier: Apache-2.0
r"""What the node costs while nobody listens and nothing is followed, beside a bare subscriber to the same camera.

    python bench/idle.py --seconds 20

A camera of its own process publishes 1920x1080 pictures 30 times a second; the node and an rclpy node with one
subscription that does nothing hear them at the same time. Percent of one core. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from seem_ros.demo.stage import ROOT, cpu_s
from seem_ros.ros.discovery import let_large_images_through, stay_on_this_machine

TOPIC = "/idle/image"


def publish(rate_hz: float) -> None:
    """The camera, until it is interrupted."""
    import numpy as np
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from seem_ros.ros.messages.images import array_to_image

    rclpy.init()
    node = rclpy.create_node("idle_camera")
    publisher = node.create_publisher(Image, TOPIC, qos_profile_sensor_data)
    message = array_to_image(np.full((1080, 1920, 3), 90, np.uint8), Header(frame_id="idle"))
    next_s = time.monotonic()
    while True:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        next_s += 1.0 / rate_hz
        time.sleep(max(0.0, next_s - time.monotonic()))


def subscribe() -> None:
    """The bare subscriber, until it is interrupted; prints what it heard."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    heard = [0]

    def count(_: Image) -> None:
        heard[0] += 1

    rclpy.init()
    node = rclpy.create_node("idle_subscriber")
    node.create_subscription(Image, TOPIC, count, qos_profile_sensor_data)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        print(heard[0], flush=True)


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Percent of one core of the node and of the bare subscriber."""
    mine = [sys.executable, str(Path(__file__).resolve())]
    node = [sys.executable, str(ROOT / "scripts" / "seem"), "--ros-args", "-r", f"image:={TOPIC}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    seem = subprocess.Popen(node, **quiet)
    bare = subprocess.Popen([*mine, "subscribe"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    camera = subprocess.Popen([*mine, "publish", "--rate", str(arguments.rate)], **quiet)
    try:
        time.sleep(arguments.settle)
        begin, before = time.monotonic(), [cpu_s(one.pid) for one in (seem, bare)]
        time.sleep(arguments.seconds)
        took, after = time.monotonic() - begin, [cpu_s(one.pid) for one in (seem, bare)]
    finally:
        for one in (bare, seem, camera):
            one.send_signal(signal.SIGINT)
        heard = bare.communicate(timeout=15)[0]
        for one in (seem, camera):
            one.wait(15)
    node_percent, bare_percent = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
    return {
        "node, % of a core": node_percent,
        "bare subscriber, % of a core": bare_percent,
        "more, % of a core": node_percent - bare_percent,
        "pictures heard, Hz": int(heard.split()[-1]) / (arguments.settle + took),
    }


def main() -> int:
    """Measure, print, and write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="measure", choices=("measure", "publish", "subscribe"))
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before the measurement")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the measurement")
    parser.add_argument("--out", type=Path, default=Path("out/bench/idle.json"))
    arguments = parser.parse_args()
    if arguments.part == "publish":
        publish(arguments.rate)
    elif arguments.part == "subscribe":
        subscribe()
    else:
        stay_on_this_machine(101 + os.getpid() % 100)
        let_large_images_through()
        found = measure(arguments)
        for name, value in found.items():
            print(f"{name:<32} {value:6.2f}")
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
