# SPDX-License-Identifier: Apache-2.0
"""The policies of config/sros2 against what the node, the client and the console really open, and security enforced."""

from __future__ import annotations

from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest
from colour_backend import scene
from harness import ROOT, Camera, NodeProcess, wait_for
from security_policy import Policy

from seem_ros.ros.client import SeemClient

HERE = Path(__file__).parent
PICTURE = scene({(40, 30): "red"})
# Services of an action, which SROS2 has under the action's own name.
ACTION = "/_action/"


@pytest.fixture(scope="module")
def camera(client):
    made = Camera(client, "/camera/color/image", lambda _: PICTURE)
    yield made
    made.close()


def opened(client, name):
    """What a node has opened: for each verb of a policy its names, those of actions under the action's."""
    node, seen = client.node, {}
    for verb, ask in (
        ("publish", node.get_publisher_names_and_types_by_node),
        ("subscribe", node.get_subscriber_names_and_types_by_node),
        ("reply", node.get_service_names_and_types_by_node),
        ("request", node.get_client_names_and_types_by_node),
    ):
        names = {each for each, _ in ask(name, "/")}
        seen[verb] = {each for each in names if ACTION not in each}
        if verb in ("reply", "request"):
            actions = {each.split(ACTION)[0] for each in names if ACTION in each}
            seen["execute" if verb == "reply" else "call"] = actions
    return seen


def forbidden(policy, seen):
    return sorted(f"{verb} {name}" for verb, names in seen.items() for name in names if not policy.allows(verb, name))


def settled(client, name, **wanted):
    """What a node has opened, once it has all that is wanted."""

    def complete():
        try:
            seen = opened(client, name)
        except Exception:  # not discovered yet
            return None
        return seen if all(set(names) <= seen[verb] for verb, names in wanted.items()) else None

    return wait_for(complete, f"{name} to open {wanted}", 60)


@pytest.mark.parametrize(
    ("cameras", "base"), [("[camera]", "/seem"), ("[front,left]", "/seem/front")], ids=["one camera", "two cameras"]
)
def test_the_nodes_policy_allows_all_that_the_node_opens(client, camera, start_node, cameras, base):
    inputs = ("image", "depth", "camera_info", "front/image", "front/depth", "front/camera_info")
    remaps = [f"{name}:=/camera/color/{name.rpartition('/')[2]}" for name in inputs]
    remaps += [f"left/{name}:=/camera/left/{name}" for name in inputs[:3]]
    node = start_node(f"cameras:={cameras}", "target_frame:=base_link", "broadcast_tf:=true", remaps=remaps)
    policy = Policy("node")
    seen = settled(
        client,
        "seem",
        publish=[f"{base}/segments"],
        subscribe=["/camera/color/image", f"{base}/click", "/tf"],
        reply=policy.rules["reply"],
        execute=["/seem/find"],
    )
    assert policy.enclave == "/seem/node" and forbidden(policy, seen) == []
    # and it grants no service that is not there
    assert set(policy.rules["reply"]) == seen["reply"] and set(policy.rules["execute"]) == seen["execute"]
    node.stop()
    # where its goodbye is lost, which goes by UDP once, Fast DDS gives it up after 20 s
    wait_for(lambda: "seem" not in client.node.get_node_names(), "the node's end", 40)


def test_the_clients_policy_allows_all_that_a_client_opens_but_no_parameters_and_no_lifecycle(
    client, camera, start_node
):
    node = start_node(remaps=["image:=/camera/color/image"])
    policy = Policy("client")
    with SeemClient(timeout_s=30.0) as seem:
        (target,) = seem.segment(["the red thing"], track=True).target_ids
        seem.wait_for_target(target)
        seem.find("the red thing", 20.0)
        for ask in (lambda: seem.rename(target, "it"), seem.objects, lambda: seem.remove_targets([target])):
            ask()
        seen = settled(client, "seem_client", call=["/seem/find"], request=["/seem/segment"])
    assert policy.enclave == "/seem/client" and forbidden(policy, seen) == []
    guarded = [f"/seem/{name}" for name in ("set_parameters", "set_parameters_atomically", "change_state")]
    settled(client, "seem", reply=[*policy.rules["request"], *guarded])  # all of them are there
    assert not any(policy.allows("request", name) for name in guarded)
    node.stop()


def test_the_consoles_policy_allows_all_that_the_console_opens_and_asks(client, tmp_path):
    from seem_ros.console.client import parameters
    from seem_ros.ros.services import SERVICES

    policy = Policy("console")
    arguments = ["python", str(ROOT / "scripts" / "console"), "--port", "0", "--no-open"]
    console = Popen(arguments, stdout=DEVNULL, stderr=DEVNULL, cwd=ROOT)
    try:
        name = f"seem_console_{console.pid}"
        seen = settled(client, name, subscribe=["/diagnostics"])
        assert policy.enclave == "/seem/console" and forbidden(policy, seen) == []
    finally:
        console.terminate()
        console.wait(20)
    # clients are made when a page asks: for each of our services, and for what its page of parameters reads and sets
    ours = {f"/seem/{name}" for name, (kind, _) in SERVICES.items() if kind.__module__.startswith("seem_ros.")}
    asked = {f"/seem/{name}" for name in ("list_parameters", "describe_parameters", "get_parameters", "set_parameters")}
    assert all(name.rpartition("/")[2] in Path(parameters.__file__).read_text() for name in asked)
    assert set(policy.rules["request"]) == ours | asked
    assert not policy.allows("request", "/seem/change_state")
    for topic in ("/seem/segments", "/seem/front/targets", "/camera/color/image_raw/compressed"):
        assert policy.allows("subscribe", topic)


@pytest.mark.parametrize("enclave", ["/seem/node", "/seem/elsewhere"], ids=["without security in DDS", "without keys"])
def test_a_node_that_cannot_be_secured_ends_in_a_line_and_never_runs_unprotected(monkeypatch, tmp_path, enclave):
    (tmp_path / "enclaves" / "seem" / "node").mkdir(parents=True)
    for name, value in (("ENABLE", "true"), ("STRATEGY", "Enforce"), ("KEYSTORE", str(tmp_path))):
        monkeypatch.setenv(f"ROS_SECURITY_{name}", value)
    node = NodeProcess(HERE / "colour_node.py", extra=("--enclave", enclave))
    wait_for(lambda: node.process.poll() is not None, "the end", 60)
    assert node.process.returncode == 2
    said = [line for line in node.log.splitlines() if line.startswith("seem: ")]
    assert len(said) == 1 and "secur" in said[0].lower() and "Traceback" not in node.log, node.log
