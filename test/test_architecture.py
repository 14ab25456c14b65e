# SPDX-License-Identifier: Apache-2.0
"""Imports go one way, rooms stay small, and only the rooms that say so know ROS."""

import ast
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seem_ros"
MOST_MODULES = 12
MOST_LINES = 440  # more are two ideas
# What a room may import beside itself and the modules that lie directly in seem_ros/.
MAY_IMPORT = {
    "model": set(),
    "runtime": {"model"},
    "perception": {"runtime"},
    "sim": set(),
    "datasets": {"perception", "evaluation"},
    "evaluation": {"perception", "datasets", "sim"},
    "export": {"model", "runtime", "perception"},
    "labelling": {"perception", "datasets"},
    "training": {"model", "runtime", "datasets"},
    "ros": {"perception", "runtime", "datasets", "sim"},
    "demo": {"perception", "datasets", "ros"},
    "console": {"perception", "datasets", "labelling", "ros"},
    "tools": {
        "model",
        "runtime",
        "perception",
        "sim",
        "datasets",
        "evaluation",
        "export",
        "training",
        "ros",
        "demo",
        "labelling",
        "console",
    },
}
KNOW_ROS = {"ros", "demo", "console", "tools"}
GENERATED = {"msg", "srv", "action"}
ROS_LIBRARIES = {"rclpy", "rcl_interfaces", "builtin_interfaces", "std_srvs", "launch", "launch_ros", "tf2_ros"}


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def imports(tree):
    """Every dotted name that a module imports, the deepest that is a module of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES or full.removeprefix("seem_ros.") in GENERATED else str(node.module)


def room_of(name):
    """``perception`` for seem_ros.perception.masks.upsample; "" for what lies directly in seem_ros/."""
    parts = name.split(".")
    in_a_room = len(parts) > 1 and (parts[1] in GENERATED or (PACKAGE / parts[1]).is_dir())
    return parts[1] if in_a_room else ""


def test_imports_go_one_way_between_rooms():
    wrong = []
    for name, tree in MODULES.items():
        room = room_of(name)
        if room:
            allowed = MAY_IMPORT[room] | {"", room} | (GENERATED if room in KNOW_ROS else set())
            ours = (other for other in imports(tree) if other.startswith("seem_ros."))
            wrong += [f"{name} imports {other}" for other in ours if room_of(other) not in allowed]
    assert not wrong, "\n".join(wrong)


def test_only_ros_demo_console_and_their_command_lines_know_ros():
    for name, tree in MODULES.items():
        roots = {other.split(".")[0] for other in imports(tree)}
        ros = {root for root in roots if root in ROS_LIBRARIES or root.endswith("_msgs")}
        knows = room_of(name) in {"ros", "demo", "console"} or name == "seem_ros.tools.doctor"
        assert not ros or knows, f"{name} imports {sorted(ros)}"


def test_no_module_is_part_of_a_circle():
    graph = {
        name: {
            other
            for node in tree.body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for other in imports(ast.Module([node], []))
            if other in MODULES and other != name
        }
        for name, tree in MODULES.items()
    }
    done, path = set(), []

    def visit(name):
        assert name not in path, "a circle: " + " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        done.add(path.pop())

    for name in graph:
        visit(name)


def test_no_room_has_more_modules_than_one_can_overlook():
    counts = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    crowded = {str(folder.relative_to(ROOT)): count for folder, count in counts.items() if count > MOST_MODULES}
    assert not crowded, f"more than {MOST_MODULES} modules: {crowded}"


def test_no_public_class_has_the_name_of_another():
    homes = defaultdict(list)
    for name, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert not twice, twice


def test_tests_lie_where_what_they_test_lies():
    folders = {path.parent.relative_to(ROOT / "test") for path in (ROOT / "test").rglob("test_*.py")}
    own = {Path("fuzz")}  # throws nonsense at everything
    strangers = [str(one) for one in folders - own if not (PACKAGE / one).is_dir() and not (ROOT / one).is_dir()]
    assert not strangers, f"nothing in the repository is called {strangers}"


def test_every_module_has_a_licence_and_says_what_it_is_for():
    for name, tree in MODULES.items():
        assert ast.get_docstring(tree), f"{name} has no docstring"
    for path in PACKAGE.rglob("*.py"):
        assert path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n"), path


def test_no_file_is_too_long_to_be_read_in_one_go():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
