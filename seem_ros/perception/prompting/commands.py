# SPDX-License-Identifier: Apache-2.0
"""What a request is about: "bring me the red mug, please" is about "the red mug"."""

from __future__ import annotations

import re

_DETERMINER = r"(?:the|a|an|my|your|his|her|our|their|this|that|these|those|some|any)\s"
_ASKING = (
    r"(?:please|now|then|(?:can|could|would|will)\s+you|i\s+(?:want|would\s+like)\s+(?:you\s+)?to|i'd\s+like\s+to)"
)
_DOING = (
    r"bring|give|hand|show|fetch|get|find|grasp|grab|take|hold|lift|touch|push|pull|pick|pick\s+up|put\s+down|"
    r"segment|mark|mask|select|detect|locate|track|follow|watch|see|notice|look\s+(?:at|for)|search\s+for|wait\s+for|"
    r"point\s+(?:at|to)|(?:go|drive|move|walk|reach)\s+(?:to|for|towards?)|approach|avoid|"
    r"i\s+(?:want|need|see|mean|would\s+like)|i'd\s+like|do\s+you\s+see|there\s+(?:is|are)|(?:is|are)\s+there|"
    r"where\s+(?:is|are)|where's|what\s+about"
)
_BEFORE = re.compile(
    rf"^(?:{_ASKING},?\s+)*(?:(?:{_DOING})\s+(?:(?:me|us|for|him|her)\s+)*(?={_DETERMINER}))?"
    r"(?:an?\s+(?:photo|picture|image|photograph)\s+of\s+)?",
    re.IGNORECASE,
)
_AFTER = ("please", "for me", "to me", "now", "thanks", "thank you")
_MARKS = " .!?,"


def asked_about(text: str) -> str:
    """The thing that a request names, with its article; the text itself where it is no request.

    A verb counts as one only before an article or the like: "hand drill" and "watch" are things.
    """
    words = _BEFORE.sub("", " ".join(text.split()))
    while True:  # a pattern would take the square of the length on rows of commas
        words = words.rstrip(_MARKS)
        ending = next((end for end in _AFTER if words.lower().endswith((f" {end}", f",{end}"))), None)
        if ending is None:
            return words or text
        words = words[: -len(ending)]
