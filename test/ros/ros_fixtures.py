# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests that need ROS: a private DDS domain, a client, nodes in their own processes."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOMAINS = 100  # higher ones come near the ports that the system gives away


@pytest.fixture(scope="session", autouse=True)
def private_ros(tmp_path_factory):
    """A domain of our own on this machine only, and logs outside the home folder."""
    domain, claim = _claimed_domain()
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))  # where taught objects are kept
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    yield
    claim.close()


def _claimed_domain():
    """A DDS domain that no other test run on this machine has, and the lock that says so."""
    for offset in range(DOMAINS):
        domain = 1 + (os.getpid() + offset) % DOMAINS
        claim = (Path(tempfile.gettempdir()) / f"seem_ros_test_domain_{domain}").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return domain, claim
        except OSError:
            claim.close()
    pytest.fail(f"all {DOMAINS} DDS domains are taken by other test runs")


@pytest.fixture(scope="module")
def client(private_ros):
    """A ROS client of the test's own, beside what is tested."""
    from harness import Client

    made = Client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def start_node(private_ros):
    """Starts nodes over the colour model; all are ended after the module."""
    from harness import NodeProcess

    started = []

    def start(*parameters, remaps=(), name="seem", extra=()):
        node = NodeProcess(HERE / "colour_node.py", *parameters, remaps=remaps, name=name, extra=extra)
        started.append(node)
        return node

    yield start
    for node in started:
        node.stop()
