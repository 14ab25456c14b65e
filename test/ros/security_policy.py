# SPDX-License-Identifier: Apache-2.0
"""Reads the policies of config/sros2 as SROS2 does: names are expanded, and stars match as the DDS standard says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

POLICIES = Path(__file__).parents[2] / "config" / "sros2"
# What each list may say, and what it holds.
VERBS = {"topics": ("publish", "subscribe"), "services": ("request", "reply"), "actions": ("call", "execute")}


class Policy:
    """One file with one enclave and one profile.

    Args:
        name: Of the file, without ``.policy.xml``.
    """

    def __init__(self, name: str) -> None:
        root = ElementTree.parse(POLICIES / f"{name}.policy.xml").getroot()
        assert root.tag == "policy" and root.get("version") == "0.2.0"
        (enclave,) = root.findall("./enclaves/enclave")
        (profile,) = enclave.findall("./profiles/profile")
        self.enclave, self._ns, self._node = enclave.get("path"), profile.get("ns"), profile.get("node")
        self.rules: dict[str, list[str]] = {}
        for listed in profile:
            assert len(listed) and set(listed.attrib) <= set(VERBS[listed.tag]), listed.attrib
            for verb, rule in listed.attrib.items():
                assert rule == "ALLOW", f"{verb} {rule}"
                for one in listed:
                    assert one.tag == listed.tag.rstrip("s") and one.text == one.text.strip()
                    self.rules.setdefault(verb, []).append(self._full(one.text))

    def _full(self, name: str) -> str:
        base = f"{self._ns.rstrip('/')}/"
        return name if name[0] == "/" else base + (self._node + name[1:] if name[0] == "~" else name)

    def allows(self, verb: str, name: str) -> bool:
        """Whether something may be done with a topic, service or action."""
        return any(fnmatchcase(name, rule) for rule in self.rules.get(verb, ()))
