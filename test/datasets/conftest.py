# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from PIL import Image


class Disk:
    """Writes small pictures where a test wants them."""

    def __init__(self, folder):
        self.folder = folder

    def picture(self, path, size_hw=(6, 8)):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((*size_hw, 3), 90, np.uint8))

    def grey(self, path, values):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.asarray(values, np.uint8))

    def indexed(self, path, values):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.asarray(values, np.uint8)).convert("P")
        image.putdata(np.asarray(values, np.uint8).ravel().tolist())
        image.putpalette([c for i in range(256) for c in (i, 255 - i, (7 * i) % 256)])
        image.save(path)

    def ids(self, path, values):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.asarray(values)
        cv2.imwrite(str(path), np.stack([values >> 16, (values >> 8) & 255, values & 255], -1).astype(np.uint8))


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)
