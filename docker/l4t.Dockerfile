# SPDX-License-Identifier: Apache-2.0
# Jetson, JetPack 6 (L4T R36): ROS 2 Humble with CUDA 12 and TensorRT.
# Linted, and not built where this was written: no container engine there.
#   docker build -f docker/l4t.Dockerfile -t seem_ros:l4t .
#   docker run --rm --runtime nvidia --net host --ipc host seem_ros:l4t ros2 launch seem_ros seem.launch.py image:=/image_raw
# --ipc host: Fast DDS moves pictures between containers and the host through shared memory.
FROM dustynv/ros:humble-ros-base-l4t-r36.2.0

ENV ROS_DISTRO=humble
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
RUN python3 -m pip install --no-cache-dir "numpy<2" "cuda-python<13" onnxruntime threadpoolctl tokenizers tqdm

COPY . src/seem_ros
RUN source "/opt/ros/${ROS_DISTRO}/setup.bash" \
    && colcon build --packages-select seem_ros --cmake-args -DBUILD_TESTING=OFF \
    && useradd --create-home robot
USER robot

ENTRYPOINT ["/ws/src/seem_ros/docker/entrypoint.sh"]
CMD ["ros2", "launch", "seem_ros", "seem.launch.py", "backend:=tensorrt"]
