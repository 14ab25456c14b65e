#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what is made of the code: config/seem.yaml, docs/reference/ and the version in package.xml.

    python scripts/write_reference.py            # write
    python scripts/write_reference.py --check    # say what differs, and exit with 1 if something does

A test holds the files against the code.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import seem_ros
from seem_ros.ros.interface_docs import documentation_tables, table_rows, yaml_text
from seem_ros.ros.launching.plan import ARGUMENTS, DEMO_ARGUMENTS, Argument

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Written by scripts/write_reference.py from the code. -->\n"
SECTIONS = {"msg": (), "srv": ("Request", "Response"), "action": ("Goal", "Result", "Feedback")}
KINDS = {"msg": "message", "srv": "service", "action": "action"}
# command lines of users first, then those of people who make models
MODULES = ("seem_ros/tools", "seem_ros/training", "seem_ros/sim", "seem_ros/console")
# what only machines of CI can say about themselves does not belong into a page
MACHINE = re.compile(re.escape(str(ROOT)) + "/?")


# ------------------------------------------------------------------------------------------------ topics and parameters


def interfaces_page() -> str:
    """Topics and services."""
    tables = documentation_tables()
    actions = f"\n## Actions\n\n{tables['actions']}\n" if "actions" in tables else ""
    return f"""{NOTE}# Topics and services

Names are relative to the node, `/seem` by default: `~/segment` is `/seem/segment`.

## Services

{tables["services"]}
{actions}
## Published topics

Below `~/`, or `~/<camera>/` where there are several cameras. Reliable, depth 1, at the source image's resolution. Only
what somebody subscribes to is computed.

{tables["published"]}

## Subscribed topics

Below the node's namespace, or `<camera>/` where there are several cameras. The reliability follows what the publisher
offers.

{tables["subscribed"]}
"""


def parameters_page() -> str:
    """The parameter table."""
    return f"""{NOTE}# Parameters

`config/seem.yaml` holds them all with their defaults; `ros2 param describe /seem NAME` says the same as this table. A
value of another type or out of range is refused with the reason, and nothing changes. *While running*: yes = from the
next frame on; no = when the node is configured.

{documentation_tables()["parameters"]}
"""


# ------------------------------------------------------------------------------------------------------------- messages


class Field(NamedTuple):
    """One line of an interface file with the comments that belong to it."""

    kind: str
    name: str
    comment: str


def fields_of(text: str) -> tuple[str, list[Field]]:
    """What a part of an interface file says about itself, and its fields.

    The first comment is about the whole, further ones about the field below them or beside them.
    """
    about, fields, pending, first = "", [], [], True
    for line in text.splitlines():
        code, _, beside = line.partition("#")
        if line.startswith("#"):
            pending.append(
                line.lstrip("# ").rstrip() if not line.startswith("#   ") else "\n    " + line[1:].strip() + "\n"
            )
            continue
        if first and pending:
            about, pending = _prose(pending), []
        first = False
        if code.strip():
            kind, name = code.split(None, 1)
            fields.append(Field(kind, name.strip(), " ".join([*pending, beside.strip()]).strip()))
            pending = []
    return about or _prose(pending), fields


def _prose(lines: list[str]) -> str:
    return re.sub(r"\s*\n+\s{4}(ros2 [^\n]*)\n\s*", r"\n\n```bash\n\1\n```\n\n", " ".join(lines)).strip()


def interface_section(path: Path) -> str:
    """One message, service or action as Markdown."""
    folder = path.parent.name
    parts = re.split(r"^---$", path.read_text(), flags=re.MULTILINE)
    about, _ = fields_of(parts[0])
    lines = [f"### {path.stem}", "", f"`seem_ros/{folder}/{path.stem}`", "", about, ""]
    for title, part in zip(SECTIONS[folder] or ("",), parts, strict=True):
        own, fields = fields_of(part)
        if title:
            lines += [f"**{title}**" + (f": {own}" if own and own != about else ""), ""]
        if fields:
            rows = [(f"`{field.name}`", f"`{field.kind}`", field.comment) for field in fields]
            lines += [table_rows(("Field", "Type", "What it is"), rows), ""]
    return "\n".join(lines)


def messages_page() -> str:
    """Every interface of the package."""
    show = "`ros2 interface show seem_ros/msg/Prompt` prints the same. Fields that are not wanted are left out."
    lines = [f"{NOTE}# Messages\n\n{show}"]
    for folder in SECTIONS:
        paths = sorted((ROOT / folder).glob(f"*.{folder}"))
        if paths:
            lines += [f"## {KINDS[folder].capitalize()}s", *(interface_section(path) for path in paths)]
    return "\n\n".join(lines).rstrip() + "\n"


# -------------------------------------------------------------------------------------------------------- command lines


class _Caught(BaseException):
    """Carries the parser out of a command line that was about to read its arguments."""


def command_modules() -> Iterator[tuple[str, str]]:
    """Command (as it is typed) and module name of every command line."""
    for folder in MODULES:
        for path in sorted((ROOT / folder).glob("*.py")) + sorted((ROOT / folder).glob("*/__main__.py")):
            text = path.read_text()
            if "argparse" not in text or not ("__main__" in text or path.name == "__main__.py"):
                continue
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield f"python -m {module.removesuffix('.__main__')}", module


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a command line makes, caught before it reads anything."""

    def catch(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Caught(self)

    loaded = importlib.import_module(module)
    with mock.patch.multiple(argparse.ArgumentParser, parse_args=catch, parse_known_args=catch):
        try:
            loaded.main([])
        except TypeError:
            try:
                loaded.main()
            except _Caught as caught:
                return caught.args[0]
        except _Caught as caught:
            return caught.args[0]
    raise RuntimeError(f"{module}.main() reads no arguments")


def command_section(command: str, module: str) -> str:
    """One command line as Markdown."""
    parser = parser_of(module)
    rows = []
    for action in parser._actions:
        if action.dest == "help" or action.help == argparse.SUPPRESS:
            continue
        shown = ", ".join(action.option_strings) or (action.metavar or action.dest)
        if action.option_strings and action.nargs != 0:
            value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
            shown += f" {' '.join(value) if isinstance(value, tuple) else value}"
        default = action.default
        plain = default in (None, False, True, argparse.SUPPRESS, "", [], ()) or action.nargs == 0
        text = (
            (action.help or "") % {"default": default, "prog": parser.prog, "choices": action.choices}
            if action.help
            else ""
        )
        needed = action.required and action.option_strings
        rows.append((f"`{shown}`", "required" if needed else "" if plain else f"`{_value(default)}`", text))
    about = (parser.description or "").strip()
    first, _, rest = about.partition("\n\n")
    lines = [f"## {command.split(None, 1)[1].removeprefix('-m ')}", "", " ".join(first.split()), ""]
    if "\n" not in rest.strip() and not rest.strip():
        lines += [f"```bash\n{command} …\n```", ""]
    else:
        lines += [_description(rest), ""]
    return "\n".join([*lines, table_rows(("Argument", "Default", "What it does"), rows)]) if rows else "\n".join(lines)


def _description(text: str) -> str:
    """Indented lines of a docstring are commands, the others prose."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        code = line.startswith("    ")
        if line.strip() and code != inside:
            if inside:
                while not lines[-1]:
                    lines.pop()
                lines += ["```", ""]
            else:
                lines.append("```bash")
            inside = code
        lines.append(line.removeprefix("    ") if inside else line)
    return "\n".join([*lines, "```"] if inside else lines)


def _value(default: object) -> str:
    if isinstance(default, (list, tuple)):
        return " ".join(map(str, default))
    return MACHINE.sub("", str(default))


def launch_section(file: str, arguments: dict[str, Argument]) -> str:
    """Arguments of a launch file."""
    rows = [
        (
            f"`{name}:=`",
            f"`{one.default}`" if one.default else "",
            ", ".join(filter(None, one.choices)),
            one.description,
        )
        for name, one in arguments.items()
    ]
    head = ("Argument", "Default", "Allowed", "What it does")
    return f"## ros2 launch seem_ros {file}\n\n{table_rows(head, rows)}"


def command_lines_page() -> str:
    """Every command line."""
    intro = f"""{NOTE}# Command lines

`ros2 launch seem_ros seem.launch.py --show-args` and `--help` of the others say the same. From a source tree:
`. scripts/env.sh` first. A wrong argument or an unreadable file ends with one line and exit code 2."""
    launch = [launch_section("seem.launch.py", ARGUMENTS), launch_section("demo.launch.py", DEMO_ARGUMENTS)]
    return "\n\n".join([intro, *launch, *(command_section(*one) for one in command_modules())]) + "\n"


# ---------------------------------------------------------------------------------------------------------------- files


def package_xml() -> str:
    """package.xml with the version of the code."""
    text = (ROOT / "package.xml").read_text()
    return re.sub(r"<version>[^<]*</version>", f"<version>{seem_ros.__version__}</version>", text)


# every generated file by its path from the root, and what makes it
PAGES = {
    "config/seem.yaml": yaml_text,
    "docs/reference/interfaces.md": interfaces_page,
    "docs/reference/parameters.md": parameters_page,
    "docs/reference/messages.md": messages_page,
    "docs/reference/command_lines.md": command_lines_page,
    "package.xml": package_xml,
}


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or say which ones are not those of the code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    made = {name: make() for name, make in PAGES.items()}
    differ = {name: text for name, text in made.items() if _read(ROOT / name) != text}
    for name, text in differ.items():
        print(f"{name} {'is not what the code says: run scripts/write_reference.py' if check else 'written'}")
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(text)
    return 1 if check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
