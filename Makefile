# SPDX-License-Identifier: Apache-2.0
# ROS 2 without a ROS installation: everything below lives in .venv, build/, install/ and out/, and nothing else is touched.
#   make demo                   watch it work on a recorded tabletop clip             (about 3 minutes the first time)
#   make demo VIDEO=my.mp4 TEXT="the red mug"   ... or BOX=x0,y0,x1,y1 / CLICK=x,y; also a folder of pictures, a bag, a webcam's number
#   make console                point, click and say in a browser; VIDEO=my.mp4 or VIDEO=0 for a webcam
#   make run IMAGE=/camera/color/image_raw      serve a real topic
#   make test                   the tests (installs torch and the simulator too); make test-long runs the long ones
#   make test-jazzy             the ROS tests on Jazzy, beside Kilted in folders of its own
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
# Another distribution stands beside the first, in folders of its own: make test-jazzy, make demo DISTRO=jazzy
DISTRO := kilted
BESIDE := $(if $(filter-out kilted,$(DISTRO)),-$(DISTRO))
export VENV := $(CURDIR)/.venv$(BESIDE)
export SEEM_INSTALL := $(CURDIR)/install$(BESIDE)
BUILD := build$(BESIDE)
PY := $(VENV)/bin/python
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
WITH_ROS := . scripts/env.sh &&
ARGS ?=

# Dependencies are extras of pyproject.toml. OpenVINO is the faster one on x86; everywhere else ONNX Runtime serves.
INSTALL = $(PY) scripts/requirements.py $(1) | $(PY) -m pip install --disable-pip-version-check -q -r /dev/stdin
LISTS := pyproject.toml scripts/requirements.py

INTERFACES := $(wildcard msg/*.msg srv/*.srv action/*.action) CMakeLists.txt package.xml
BUILT := install$(BESIDE)/seem_ros/.built
# MAKEFLAGS: colcon would have make wait for a load below the number of cores, for minutes on a busy machine.
# PyPI has neither tf2_msgs nor vision_msgs: what of them is used here is generated from definitions of our own.
TF2_BUILT := install$(BESIDE)/interfaces/.tf2_msgs
VISION_BUILT := install$(BESIDE)/interfaces/.vision_msgs
COLCON = $(WITH_ROS) unset PYTHONPATH && MAKEFLAGS=-j2 \
  AMENT_PREFIX_PATH=$(VENV) CMAKE_PREFIX_PATH=$(VENV) colcon --log-base log$(BESIDE) build \
  --event-handlers console_direct-
CMAKE_ARGS := --cmake-args -DPython3_EXECUTABLE=$(PY) -DBUILD_TESTING=OFF

# Fast DDS loses large best-effort pictures in its default shared memory segment; a profile of your own is left alone.
# Demo and console see to it themselves.
PROFILE := $(CURDIR)/config/fastdds_large_images.xml
PROFILE_VARIABLE := $(if $(filter jazzy,$(DISTRO)),FASTRTPS,FASTDDS)_DEFAULT_PROFILES_FILE
LARGE_IMAGES := $(PROFILE_VARIABLE)=$${$(PROFILE_VARIABLE):-$(PROFILE)}

.PHONY: help env build test test-long test-jazzy ready-ros test-ros fuzz soak sbom quick lint types docs check hooks demo console run clean
help:
	@sed -n '3,8s/^# //p' Makefile

env: $(VENV)/.ros.stamp
build: $(BUILT) $(TF2_BUILT)

# Stamps make every step a no-op the second time.
$(VENV)/.made.stamp:
	@test -n "$(PYTHON)" || { echo "python3 is missing: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "the venv module is missing: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ros.stamp: $(VENV)/.made.stamp $(LISTS)
	$(call INSTALL,ros_$(DISTRO) openvino bags video)
	@command -v cmake >/dev/null || $(PY) -m pip install --disable-pip-version-check -q cmake
	$(PY) scripts/patch_ros_wheels.py
	@touch $@

$(VENV)/.test.stamp: $(VENV)/.ros.stamp $(LISTS)
	$(call INSTALL,ros_$(DISTRO) test)
	@touch $@

# lint, types and documentation alone need neither torch nor the simulator
$(VENV)/.check.stamp: $(VENV)/.ros.stamp $(LISTS)
	$(call INSTALL,lint docs)
	@touch $@

# Only the interfaces need building: Python runs from the source tree. CMake refuses exported include folders inside the
# package's own source folder, and .venv's numpy would be one, so a copy is built.
$(BUILT): $(INTERFACES) | $(VENV)/.ros.stamp
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt install build-essential"; exit 1; }
	@$(PY) scripts/patch_ros_wheels.py
	@rm -rf $(BUILD)/src && mkdir -p $(BUILD)/src/seem_ros
	@cp -r $(wildcard CMakeLists.txt package.xml msg srv action launch config scripts models seem_ros) $(BUILD)/src/seem_ros/
	$(COLCON) --base-paths $(BUILD)/src --build-base $(BUILD)/colcon --install-base $(SEEM_INSTALL) $(CMAKE_ARGS)
	@touch $@

install$(BESIDE)/interfaces/.%: test/interfaces/%/CMakeLists.txt test/interfaces/%/package.xml | $(VENV)/.ros.stamp
	$(COLCON) --base-paths test/interfaces/$* --build-base $(BUILD)/interfaces \
	  --install-base $(SEEM_INSTALL)/interfaces --merge-install $(CMAKE_ARGS)
	@touch $@

# Two files run side by side: those that compute with a thread each, those that run nodes and browsers, in DDS domains of
# their own. Over UDP: domains have shared-memory ports in common, and a killed node leaves its own behind. What is marked
# `alone` runs by itself, over DDS's usual transport.
NODES := test/ros test/console test/fuzz
SIDE_BY_SIDE := -n 2 --dist loadfile
test: build $(VISION_BUILT) $(VENV)/.test.stamp
ifeq ($(strip $(ARGS)),)
	$(WITH_ROS) OMP_NUM_THREADS=1 python -m pytest -m "not long and not alone" $(SIDE_BY_SIDE) $(addprefix --ignore=,$(NODES))
	$(WITH_ROS) FASTDDS_BUILTIN_TRANSPORTS=UDPv4 python -m pytest -m "not long and not alone" $(SIDE_BY_SIDE) $(NODES)
	$(WITH_ROS) python -m pytest -m "not long and alone" $(NODES)
else
	$(WITH_ROS) python -m pytest $(ARGS)
endif

# Ray clusters, torchrun, the official graphs for GPUs, official weights over a local hub: rarely broken, and minutes long.
test-long: build $(VISION_BUILT) $(VENV)/.test.stamp
	$(WITH_ROS) python -m pytest -m long $(ARGS)

quick: build $(VISION_BUILT) $(VENV)/.test.stamp
	$(WITH_ROS) python -m pytest -m "not slow and not long" $(ARGS)

# The ROS layer alone, which is what differs between distributions, without torch and simulator. Jazzy is tested with what
# its Ubuntu has; what is built against NumPy 2 runs with 1.26 too.
OF_UBUNTU_jazzy := "numpy==1.26.*" "opencv-python-headless==4.6.*"
$(VENV)/.test_ros.stamp: $(VENV)/.ros.stamp $(LISTS) | $(BUILT) $(TF2_BUILT) $(VISION_BUILT)
	$(call INSTALL,ros_$(DISTRO) console)
	$(PY) -m pip install --disable-pip-version-check -q pytest pytest-timeout pytest-xdist psutil $(OF_UBUNTU_$(DISTRO))
	@touch $@

ready-ros: build $(VISION_BUILT) $(VENV)/.test_ros.stamp

test-ros: ready-ros
	$(WITH_ROS) python -m pytest $(if $(ARGS),$(ARGS),test/ros test/console)

test-jazzy:
	$(MAKE) test-ros DISTRO=jazzy

# Hostile input for so long, and frames for so long: what breaks is written to out/
MINUTES ?= 10
fuzz: build $(VENV)/.test.stamp
	$(WITH_ROS) python test/fuzz/fuzzing.py --minutes $(MINUTES) $(ARGS)

soak: build $(VENV)/.test.stamp
	$(WITH_ROS) python test/fuzz/soak.py --minutes $(MINUTES) $(ARGS)

# What is installed, with versions and licences: out/sbom.json
sbom: env
	$(WITH_ROS) python scripts/sbom.py $(ARGS)

lint: $(VENV)/.check.stamp
	$(WITH_ROS) ruff check . && ruff format --check --quiet .

# The site of docs/, without a network: open out/site/index.html
docs: $(VENV)/.check.stamp
	$(WITH_ROS) NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet --strict

types: $(BUILT) $(VENV)/.check.stamp
	$(WITH_ROS) python -m mypy --no-error-summary $(ARGS)

# What CI looks at before it runs a test.
check: lint types docs

hooks: $(VENV)/.check.stamp
	$(PY) -m pip install --disable-pip-version-check -q pre-commit
	$(VENV)/bin/pre-commit install

demo: build
	$(WITH_ROS) python -m seem_ros.tools.demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(TEXT),--text "$(TEXT)") \
	  $(if $(CLICK),--click "$(CLICK)") $(if $(BOX),--box "$(BOX)") $(ARGS)

$(VENV)/.console.stamp: $(VENV)/.ros.stamp $(LISTS)
	$(call INSTALL,console)
	@touch $@

console: build $(VENV)/.console.stamp
	$(WITH_ROS) exec python scripts/console --demo $(if $(VIDEO),--video "$(VIDEO)") $(ARGS)

run: build
	@test -n "$(IMAGE)" || { echo "which topic? make run IMAGE=/camera/color/image_raw"; exit 2; }
	$(WITH_ROS) $(LARGE_IMAGES) exec python scripts/seem --ros-args -r image:="$(IMAGE)" $(if $(DEPTH),-r depth:="$(DEPTH)") \
	  --params-file $(if $(PARAMS),"$(PARAMS)",config/seem.yaml) $(ARGS)

clean:
	rm -rf build install build-jazzy install-jazzy log log-jazzy out .pytest_cache .ruff_cache
