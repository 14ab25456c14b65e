# SPDX-License-Identifier: Apache-2.0
"""Crops of rendered clips for training: two frames of one scene cut alike and disturbed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from seem_ros.datasets.scenes.scene import Clip
from seem_ros.datasets.scenes.views import disturb


def crop(clip: Clip, rng: np.random.Generator, height: int, width: int, whole: bool) -> Clip:
    """Cuts both frames alike to height x width: the whole picture zero-padded, or a random window scaled."""
    h, w = clip.ids.shape[1:]
    if whole:
        scale = min(height / h, width / w, 1.0)
        window = (0, 0, w, h)
        out_w, out_h = round(w * scale), round(h * scale)
    else:
        part = rng.uniform(0.55, 1.0)
        cw, ch = round(w * part), round(min(h, w * part * height / width))
        x, y = int(rng.integers(0, w - cw + 1)), int(rng.integers(0, h - ch + 1))
        window, out_w, out_h = (x, y, cw, ch), width, height
    x, y, cw, ch = window
    rgb = np.zeros((2, height, width, 3), np.uint8)
    ids = np.zeros((2, height, width), np.uint8)
    flip = rng.random() < 0.5
    for f in range(2):
        picture, label = clip.rgb[f, y : y + ch, x : x + cw], clip.ids[f, y : y + ch, x : x + cw]
        if flip:
            picture, label = picture[:, ::-1], label[:, ::-1]
        picture, label = np.ascontiguousarray(picture), np.ascontiguousarray(label)
        if (ch, cw) != (out_h, out_w):
            picture = cv2.resize(picture, (out_w, out_h), interpolation=cv2.INTER_LINEAR)
            label = cv2.resize(label, (out_w, out_h), interpolation=cv2.INTER_NEAREST)
        rgb[f, :out_h, :out_w], ids[f, :out_h, :out_w] = disturb(picture, rng), label
    return replace(clip, rgb=rgb, ids=ids)
