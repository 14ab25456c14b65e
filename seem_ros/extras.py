# SPDX-License-Identifier: Apache-2.0
"""What the optional parts of seem_ros need, for messages that say what to install.

A message cannot name an extra, seem_ros[torch]: seem_ros is not on PyPI, and what colcon has installed has none.
"""

from __future__ import annotations

from types import MappingProxyType

# As in pyproject.toml, which is the list that everything is installed from; a test holds these lines against it.
EXTRAS = MappingProxyType(
    {
        "torch": (
            "huggingface_hub>=0.20,<3",
            "onnx>=1.16,<2",
            "onnx_ir>=0.1,<2",
            "onnxscript>=0.1,<1",
            "safetensors>=0.4,<1",
            "timm>=1.0.9,<2",
            "torch>=2.2,<3",
            "torchvision>=0.17,<1",
        ),
        "bags": ("rosbags>=0.10,<1",),
        "video": ("av>=11,<19",),
        "console": ("starlette>=0.27,<2", "uvicorn>=0.22,<1", "websockets>=10.4,<18"),
        "sim": ("mujoco>=3.2.7,<5",),
        "ray": ("ray>=2.9,<3",),
        "train": ("matplotlib>=3.5,<4", "pillow>=9,<14", "pycocotools>=2.0.6,<3", "scipy>=1.8,<2"),
    }
)
# Modules that a tool may lack, and the part that brings them.
EXTRA_OF = MappingProxyType(
    {
        "torch": "torch",
        "timm": "torch",
        "onnx": "torch",
        "onnx_ir": "torch",
        "onnxscript": "torch",
        "safetensors": "torch",
        "mujoco": "sim",
        "rosbags": "bags",
        "av": "video",
        "starlette": "console",
        "uvicorn": "console",
        "matplotlib": "train",
        "pycocotools": "train",
        "scipy": "train",
    }
)


def pip_line(extra: str) -> str:
    """The command that installs an optional part."""
    return f"pip install {' '.join(repr(requirement) for requirement in EXTRAS[extra])}"
