#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follows what is at a pixel of the first frame, no ROS: python examples/track_video.py clip.mp4 210,96 out.mp4"""

import sys

import cv2

from seem_ros import Click, Frame, Prompt, Segmenter, Tracker
from seem_ros.perception.visualize import draw_overlay

if len(sys.argv) != 4:
    sys.exit(__doc__)
source, place, out = sys.argv[1:]
x, y = (float(part) for part in place.split(","))
video = cv2.VideoCapture(source)
rate_hz = video.get(cv2.CAP_PROP_FPS) or 15.0
film = None

with Segmenter.load("builtin") as segmenter:
    tracker = Tracker(segmenter)
    for number in range(sys.maxsize):
        read, bgr = video.read()
        if not read:
            break
        frame = Frame(bgr[..., ::-1], stamp_ns=round(number * 1e9 / rate_hz))
        if number == 0:
            started = tracker.start([Prompt(clicks=(Click(x, y),))], frame)
            if not started.target_ids[0]:
                sys.exit(f"nothing to follow at {x:g}, {y:g}: {started.answers[0].message}")
        segments = tracker.step(frame)
        for target in tracker.targets():
            print(
                f"frame {number}: target {target.target_id} {target.label} {target.state.value} {target.presence:.2f}"
            )
        if film is None:
            film = cv2.VideoWriter(out, cv2.VideoWriter_fourcc(*"mp4v"), rate_hz, (frame.width, frame.height))
        film.write(draw_overlay(frame.rgb, segments)[..., ::-1].copy())

if film is None:
    sys.exit(f"{source} has no frame that can be read")
film.release()
