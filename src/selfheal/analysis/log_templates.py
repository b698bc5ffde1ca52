"""Log templates: messages without what varies, counted.

Two steps. SQL masks every word that holds a digit, addresses and URLs, so that a million
records become some thousand distinct messages. Of those a miner makes templates: Drain
(P. He, J. Zhu, Z. Zheng, M. R. Lyu, ICWS 2017) as the package drain3 has it. One setting
serves every source: drain3's own defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from selfheal.errors import MissingExtra

WILDCARD = "<*>"
# So many distinct masked messages are mined, the most frequent ones; the rest is rare.
LONGEST_LIST = 20_000
LONGEST_MESSAGE = 600
# RE2, in which look-around is not known: URLs, mail addresses, words with a digit in them.
_VARYING = r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+|[\w.+-]+@[\w-]+\.[\w.-]+|\b[A-Za-z_-]*\d[\w.:+-]*"


def masked(column: str) -> str:
    """SQL for the first line of a message, with what varies replaced by the wildcard."""
    line = f"left(split_part(trim({column}), chr(10), 1), {LONGEST_MESSAGE})"
    return f"regexp_replace({line}, '{_VARYING.replace(chr(39), chr(39) * 2)}', '{WILDCARD}', 'g')"


def pattern(template: str) -> str:
    """The regular expression of the masked messages that fit a template."""
    words = (r"\S+" if word == WILDCARD else re.escape(word) for word in template.split())
    between = r"\s+".join(words)
    return rf"^\s*{between}\s*$"


class TemplateMiner(Protocol):
    """Sorts messages: takes masked ones, gives the template of each."""

    def templates(self, messages: Iterable[str]) -> list[str]: ...


class DrainMiner:
    """Drain: messages of equal length and beginning whose words agree share a template."""

    def templates(self, messages: Iterable[str]) -> list[str]:
        """The templates in the order of the messages; the same messages give the same ones.

        Raises MissingExtra without drain3, which asks for exact old versions of two packages
        and is an extra for that reason.
        """
        try:
            from drain3.drain import Drain
        except ImportError as missing:
            raise MissingExtra.of("drain3", "templates") from missing

        drain = Drain(param_str=WILDCARD)
        clusters = [drain.add_log_message(message)[0] for message in messages]
        # A template is known when all messages are: later ones widen it.
        return [str(cluster.get_template()) for cluster in clusters]
