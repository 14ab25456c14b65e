# SPDX-License-Identifier: Apache-2.0
"""The library and its command lines for pip users; on a robot `colcon build` installs the package by CMakeLists.txt."""
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
MODELS = {str(path.parent) for path in (ROOT / "models").rglob("*") if path.is_file()}
EXTRAS = {
    "torch": ["torch>=2.2", "torchvision", "timm>=1.0.9", "safetensors", "huggingface_hub",
              "onnx>=1.16", "onnxscript", "onnx_ir"],
    "openvino": ["openvino>=2024.4"],
    "tensorrt": ["tensorrt>=10.3", "cuda-python"],
    "tensorrt_rtx": ["tensorrt-rtx", "cuda-python"],
    "sim": ["mujoco>=3.1"],
}
EXTRAS["train"] = EXTRAS["torch"] + EXTRAS["sim"] + ["matplotlib", "scipy", "pycocotools", "pillow"]
EXTRAS["dev"] = EXTRAS["train"] + EXTRAS["openvino"] + [
    "pytest", "pytest-timeout", "ruff", "rosbags", "rosbags-image", "transformers>=4.40",
]


def model_files() -> list[tuple[str, list[str]]]:
    """The model packages as data files below share/seem_ros, where the runtime looks for them by name."""
    files = []
    for folder in sorted(MODELS):
        relative = Path(folder).relative_to(ROOT)
        names = [str(relative / path.name) for path in sorted(Path(folder).iterdir()) if path.is_file()]
        files.append((f"share/seem_ros/{relative}", names))
    return files


setup(
    name="seem_ros",
    version="0.1.0",
    description="Segment what you say, click, box or show, and follow it: SEEM as a ROS 2 node and a Python library",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["seem_ros", "seem_ros.*"]),
    package_data={"seem_ros.model": ["data/*"]},
    data_files=model_files(),
    install_requires=["numpy>=1.23", "opencv-python-headless", "onnxruntime>=1.17", "tokenizers", "pyyaml", "tqdm"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "seem_segment = seem_ros.tools.segment:main",
            "seem_export = seem_ros.tools.export:main",
        ]
    },
)
