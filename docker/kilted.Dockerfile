# SPDX-License-Identifier: Apache-2.0
# ROS 2 Kilted on Ubuntu 24.04, whose Python takes packages only on demand (PEP 668).
# Linted, and not built where this was written: no container engine there.
#   docker build -f docker/kilted.Dockerfile -t seem_ros:kilted .
#   docker run --rm --net host --ipc host seem_ros:kilted ros2 launch seem_ros seem.launch.py image:=/image_raw
# --ipc host: Fast DDS moves pictures between containers and the host through shared memory.
FROM ros:kilted-ros-base

ENV ROS_DISTRO=kilted
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /ws

# dependencies first: they change less often than the code. RViz belongs on a desktop, not in here.
COPY package.xml src/seem_ros/package.xml
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip python3-rosdep \
    && (rosdep init || true) \
    && rosdep update --rosdistro "${ROS_DISTRO}" \
    && rosdep install --yes --ignore-src --skip-keys rviz2 --from-paths src \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m pip install --no-cache-dir --break-system-packages "numpy<2" onnxruntime openvino threadpoolctl tokenizers tqdm

COPY . src/seem_ros
RUN source "/opt/ros/${ROS_DISTRO}/setup.bash" \
    && colcon build --packages-select seem_ros --cmake-args -DBUILD_TESTING=OFF \
    && useradd --create-home robot
USER robot

ENTRYPOINT ["/ws/src/seem_ros/docker/entrypoint.sh"]
CMD ["ros2", "launch", "seem_ros", "seem.launch.py"]
