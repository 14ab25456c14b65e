# SPDX-License-Identifier: Apache-2.0
"""What the launch files start, decided without importing launch: arguments in, plans of processes out.

`launch/*.launch.py` only turns a plan into actions, so that all that can go wrong is tested without ROS's launch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from seem_ros.errors import PromptError

BACKENDS = ("", "auto", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "torch")
SWITCH = ("true", "false")
OR_SWITCH = ("", *SWITCH)
LEVELS = ("", "debug", "info", "warn", "error", "fatal")
# What realsense2_camera 4.55 and later publish with their defaults: namespace and node are both called camera.
IMAGE = "/camera/camera/color/image_raw"
DEPTH = "/camera/camera/aligned_depth_to_color/image_raw"
RVIZ_FRAME = "camera_color_optical_frame"
# Names of a camera: the node's own rule for the parameter cameras.
_CAMERA = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# An enclave's path, as SROS2 has them.
_ENCLAVE = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
# Topics of config/seem.rviz, below the node's name.
_RVIZ_TOPICS = ("overlay", "points", "markers", "click")
# Fast DDS 3 reads the first and warns about the second, which Fast DDS 2 of older distributions reads.
_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_WITH_FAST_DDS_2 = ("humble", "iron", "jazzy")
LIVE = "live"


@dataclass(frozen=True)
class Argument:
    """A launch argument.

    Attributes:
        default: Its value when nobody gives one.
        description: For ``ros2 launch --show-args``.
        choices: Allowed values; empty = any.
    """

    default: str
    description: str
    choices: tuple[str, ...] = ()


ARGUMENTS: dict[str, Argument] = {
    "image": Argument(IMAGE, "Image topic; its other transports are found beside it."),
    "depth": Argument("", "Depth registered to the image; empty = the RealSense's where image is left, else none."),
    "camera_info": Argument("", "Calibration; empty = camera_info beside the image."),
    "cameras": Argument(
        "",
        "Several cameras in place of image: front:=/front/image_raw,left:=/left/image_raw+/left/depth (+ names depth).",
    ),
    "model": Argument("", "A package's folder or name, or an official model; empty = as the parameter file says."),
    "backend": Argument("", "What runs the model; empty = as the parameter file says (auto).", BACKENDS),
    "device": Argument("", "Number of the GPU to use, where there are several; empty = the first."),
    "namespace": Argument("", "Namespace of the node."),
    "vocabulary": Argument("", "Countable objects, separated by commas; empty = as the parameter file says."),
    "panoptic": Argument(
        "", "Segment the whole vocabulary in every frame; empty = as the parameter file says.", OR_SWITCH
    ),
    "target_frame": Argument("", "Frame of the robot to give positions in; empty = as the parameter file says."),
    "use_sim_time": Argument(
        "", "Take time from /clock; empty = as the parameter file or a SetParameter says.", OR_SWITCH
    ),
    "console": Argument("false", "Start the browser console, on this machine's port 8080.", SWITCH),
    "rviz": Argument("false", "Start RViz, where it is installed.", SWITCH),
    "rviz_frame": Argument("", "RViz' fixed frame; empty = target_frame, else the RealSense's."),
    "enclave": Argument(
        "",
        "With SROS2: the node runs in <enclave>/node, the console in <enclave>/console, e.g. /seem; empty = ROS's own.",
    ),
    "params_file": Argument("", "Parameter file; empty = the package's config/seem.yaml."),
    "log_level": Argument("", "Least level that the node logs; empty = info.", LEVELS),
    "respawn": Argument("false", "Start the node again when it ends by itself.", SWITCH),
}
DEMO_ARGUMENTS: dict[str, Argument] = {
    "clip": Argument("tabletop", f"Folder or name of a recorded clip; {LIVE} = the living world (MuJoCo, EGL)."),
    "seed": Argument("7", "Draws the living world."),
    "console": Argument("false", "Start the browser console, on this machine's port 8080.", SWITCH),
    "rviz": Argument("true", "Start RViz, where it is installed.", SWITCH),
    "panoptic": Argument("false", "Segment the whole vocabulary in every frame.", SWITCH),
}


@dataclass(frozen=True)
class Process:
    """A ROS node to start.

    Attributes:
        package, executable, name, namespace: As launch_ros takes them.
        parameters: Files and values, later ones win.
        remappings: Pairs of names.
        arguments: Of the command line.
        respawn: Whether to start it again when it ends.
    """

    package: str
    executable: str
    name: str = ""
    namespace: str = ""
    parameters: tuple[str | dict[str, object], ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    respawn: bool = False


@dataclass(frozen=True)
class Plan:
    """What a launch file starts.

    Attributes:
        processes: In order.
        environment: Variables for all of them.
        notes: What to tell the user.
    """

    processes: tuple[Process, ...]
    environment: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def plan_seem(
    given: Mapping[str, str],
    share: Path,
    has_package: Callable[[str], bool],
    environment: Mapping[str, str] | None = None,
) -> Plan:
    """The segmentation node on cameras, and where wanted the console and RViz.

    Args:
        given: Every argument of `ARGUMENTS`.
        share: The package's share folder.
        has_package: Whether a ROS package is installed.
        environment: Variables that are set already; default this process's.

    Raises:
        PromptError: An argument or the parameter file cannot be used; one line says why.
    """
    environment = os.environ if environment is None else environment
    params_file = given["params_file"] or str(share / "config" / "seem.yaml")
    check_params_file(Path(params_file))
    cameras, remappings = _cameras(given)
    overrides: dict[str, object] = {"cameras": cameras} if cameras else {}
    names = {"model": "model", "backend": "backend", "vocabulary": "things", "target_frame": "target_frame"}
    overrides |= {parameter: given[argument] for argument, parameter in names.items() if given[argument]}
    for switch in ("panoptic", "use_sim_time"):
        if given[switch]:
            overrides[switch] = given[switch] == "true"
    logger = ".".join(part for part in (*given["namespace"].split("/"), "seem") if part)
    level = ("--ros-args", "--log-level", f"{logger}:={given['log_level']}") if given["log_level"] else ()
    if given["enclave"] and not _ENCLAVE.fullmatch(given["enclave"]):
        raise PromptError(f"enclave must be a path such as /seem, got {given['enclave']!r}")
    node = Process(
        package="seem_ros",
        executable="seem",
        name="seem",
        namespace=given["namespace"],
        parameters=(params_file, overrides) if overrides else (params_file,),
        remappings=remappings,
        arguments=(*_enclave(given, "node"), *level),
        respawn=given["respawn"] == "true",
    )
    variables = large_images(share, environment)
    if given["device"]:
        if not given["device"].isdigit():
            raise PromptError(f"device must be the number of a GPU, got {given['device']!r}")
        variables["CUDA_VISIBLE_DEVICES"] = given["device"]
    rviz, notes = _rviz(given, share, has_package, cameras)
    console = Process(package="seem_ros", executable="console", arguments=_enclave(given, "console"))
    consoles = (console,) if given["console"] == "true" else ()
    return Plan((node, *consoles, *rviz), variables, notes)


def plan_demo(given: Mapping[str, str], share: Path, has_package: Callable[[str], bool]) -> Plan:
    """The tabletop camera, the node on it, and where wanted the console and RViz.

    Args:
        given: Every argument of `DEMO_ARGUMENTS`.
        share, has_package: As for `plan_seem`.

    Raises:
        PromptError: An argument cannot be used.
    """
    if not given["seed"].lstrip("-").isdigit():
        raise PromptError(f"seed must be a whole number, got {given['seed']!r}")
    clip = "" if given["clip"] == LIVE else given["clip"]
    camera = Process(
        package="seem_ros",
        executable="tabletop_camera",
        namespace="tabletop",
        parameters=({"clip": clip, "seed": int(given["seed"])},),
    )
    others = {name: argument.default for name, argument in ARGUMENTS.items()}
    others |= {"image": "/tabletop/image", "depth": "/tabletop/depth", "rviz_frame": "tabletop_camera_optical_frame"}
    passed_on = {name: given[name] for name in ("console", "rviz", "panoptic")}
    seem = plan_seem(others | passed_on, share, has_package)
    return Plan((camera, *seem.processes), seem.environment, seem.notes)


def large_images(share: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that let large best-effort pictures through Fast DDS.

    None where the user chose profiles of their own, or another DDS.
    """
    dds = environment.get("RMW_IMPLEMENTATION", "")
    if (dds and "fastrtps" not in dds) or any(environment.get(name) for name in _PROFILE_VARIABLES):
        return {}
    names = _PROFILE_VARIABLES if environment.get("ROS_DISTRO", "") in _WITH_FAST_DDS_2 else _PROFILE_VARIABLES[:1]
    return dict.fromkeys(names, str(share / "config" / "fastdds_large_images.xml"))


def check_params_file(path: Path) -> None:
    """Refuses a parameter file that ROS would not take.

    Raises:
        PromptError: Says in one line what is wrong.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except OSError as error:
        raise PromptError(f"the parameter file {path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"the parameter file {path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(tree, dict) or not tree:
        raise PromptError(f"the parameter file {path} must begin with a node's name, such as /**:")
    if not any(_has_parameters(value) for value in tree.values()):
        raise PromptError(
            f"the parameter file {path} must have ros__parameters below a node's name, as config/seem.yaml has"
        )


def _enclave(given: Mapping[str, str], which: str) -> tuple[str, ...]:
    return ("--ros-args", "--enclave", f"{given['enclave']}/{which}") if given["enclave"] else ()


def _has_parameters(tree: object) -> bool:
    if not isinstance(tree, dict):
        return False
    if "ros__parameters" in tree:
        return isinstance(tree["ros__parameters"], dict)
    return any(_has_parameters(value) for value in tree.values())


def _cameras(given: Mapping[str, str]) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Names for the parameter cameras (empty = one camera), and remappings."""
    if not given["cameras"]:
        # the default depth belongs to the default camera: beside another one it would only be searched for in vain
        depth = given["depth"] or (DEPTH if given["image"] == IMAGE else "")
        single = {"image": given["image"], "depth": depth, "camera_info": given["camera_info"]}
        return [], tuple((name, topic) for name, topic in single.items() if topic)
    if given["image"] != IMAGE or given["depth"] or given["camera_info"]:
        raise PromptError("cameras goes without image, depth and camera_info: name all topics in cameras")
    names, remappings = [], []
    parts = given["cameras"].split(",")
    for part in parts:
        name, _, topics = (piece.strip() for piece in re.sub(r":?=", "=", part, count=1).partition("="))
        image, _, depth = topics.partition("+")
        if not _CAMERA.fullmatch(name) or not image:
            raise PromptError(f"cameras takes name:=/image/topic, several separated by commas, got {part.strip()!r}")
        if name in names:
            raise PromptError(f"cameras must have different names, {name} is there twice")
        names.append(name)
        prefix = f"{name}/" if len(parts) > 1 else ""  # the topics of a camera alone have none
        remappings.append((f"{prefix}image", image.strip()))
        if depth.strip():
            remappings.append((f"{prefix}depth", depth.strip()))
    return names, tuple(remappings)


def _rviz(
    given: Mapping[str, str], share: Path, has_package: Callable[[str], bool], cameras: list[str]
) -> tuple[tuple[Process, ...], tuple[str, ...]]:
    if given["rviz"] != "true":
        return (), ()
    if not has_package("rviz2"):
        return (), ("rviz2 is not installed, going on without it: sudo apt install ros-$ROS_DISTRO-rviz2",)
    namespace = f"/{given['namespace'].strip('/')}" if given["namespace"].strip("/") else ""
    below = f"{namespace}/seem/{cameras[0]}" if len(cameras) > 1 else f"{namespace}/seem"
    remappings = [(f"/seem/{name}", f"{below}/{name}") for name in _RVIZ_TOPICS if below != "/seem"]
    frame = given["rviz_frame"] or given["target_frame"] or RVIZ_FRAME
    simulated: dict[str, object] = {"use_sim_time": given["use_sim_time"] == "true"}
    return (
        Process(
            package="rviz2",
            executable="rviz2",
            parameters=(simulated,) if given["use_sim_time"] else (),
            remappings=tuple(remappings),
            arguments=("-d", str(share / "config" / "seem.rviz"), "-f", frame),
        ),
    ), ()
