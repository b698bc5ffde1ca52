"""Flows that documents tell: lines with arrows, numbered lists, Mermaid diagrams.

A step is what looks like an operation: code (`orders.place`), a method and a path, or a
name with a dot, colon or underscore in it. Arrows and lists of other words (menus,
instructions) are no flows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from selfheal.artifacts.model import Model

_METHODS = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS"
_ARROW = re.compile(r"\s*(?:→|⟶|➜|⇒|-+>|=+>)\s*")
_ITEM = re.compile(r"\s{0,3}\d+[.)]\s+(?P<text>.+)$")
_CODE = re.compile(r"`([^`]+)`")
_REQUEST = re.compile(rf"\b(?:{_METHODS})\s+/[^\s`\"'|)\],;]*")
_NAME = re.compile(r"[A-Za-z_][\w-]*(?:[.:/][\w-]+|_[\w]+)+(?:\(\))?$")
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.:/-]*(?:\(\))?$")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})\s*(\w*)")
_MESSAGE = re.compile(r"\s*[\w\"' -]+?\s*-{1,2}(?:>>|>|\)|x)\s*[+-]?\s*[\w\"' ]+:\s*(?P<text>.+)$")
_LINK = re.compile(r"\s*(?:-+\s[^-|>]+\s-+>|-\.[^>]*\.?->|-+(?:\.-+)?>?|=+>)\s*(?:\|[^|]*\|)?\s*")
_NODE = re.compile(
    r"(?P<id>[\w.-]+)\s*(?:[\[({>]+[\"']?(?P<label>[^\])}\"']+)[\"']?[\])}]+)?(?::::?\w+)?$"
)
# Fewer steps are a remark, not a flow.
MINIMUM_STEPS = 3
# Of the items of a list, so many must be operations.
MOSTLY = 2 / 3


class DocumentedFlow(Model):
    """Steps at `file:line`; each pair of `edges` (positions) says which comes before which.

    `in_code` says of each step whether the code names it.
    """

    file: str
    line: int
    steps: list[str]
    edges: list[tuple[int, int]]
    in_code: list[bool]


def read_flows(file: str, text: str, code: str) -> Iterator[DocumentedFlow]:
    """The flows of a Markdown (or plain) text. `code` is all that the code says."""
    fence, language, block, begun = "", "", list[str](), 0
    items: list[str | None] = []
    first = 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2]:
                if language == "mermaid":
                    yield from _flow(file, begun, *_mermaid(block), code)
                fence = ""
            else:
                block.append(line)
                if language != "mermaid":
                    yield from _flow(file, number, *_arrows(line), code)
            continue
        item = _ITEM.match(line)
        if item:
            first = first if items else number
            items.append(_operation(item["text"]))
        elif items and line.strip() and line[:1].isspace():
            continue
        elif items:
            yield from _flow(file, first, *_listed(items), code)
            items = []
        if mark:
            fence, language, block, begun = mark[1], mark[2].lower(), [], number
        elif not line.lstrip().startswith("|"):
            yield from _flow(file, number, *_arrows(line), code)


def _operation(text: str, *, bare: bool = False) -> str | None:
    """The operation that a text names first; `bare`: the whole text may be one."""
    request = _REQUEST.search(text)
    if request:
        return request[0].rstrip(".:`")
    for piece in _CODE.findall(text):
        if _PLAIN_NAME.match(piece.strip()):
            return str(piece).strip().removesuffix("()")
    whole = text.strip(" \t*_.,;\"'")
    return whole.removesuffix("()") if bare and _NAME.match(whole) else None


def _arrows(line: str) -> tuple[list[str], list[tuple[int, int]]]:
    pieces = _ARROW.split(line)
    named = [_operation(piece, bare=True) for piece in pieces]
    if len(pieces) < MINIMUM_STEPS or None in (named[1:-1] or [None]):
        return [], []
    # The first and last piece have the rest of the sentence around them.
    ends = [_edge(pieces[0], named[0], -1), *named[1:-1], _edge(pieces[-1], named[-1], 0)]
    return _chained([one for one in ends if one])


def _edge(piece: str, named: str | None, place: int) -> str | None:
    if named is not None:
        return named
    words = piece.strip(" \t*-").split()
    return _operation(words[place], bare=True) if words else None


def _listed(items: Sequence[str | None]) -> tuple[list[str], list[tuple[int, int]]]:
    named = [item for item in items if item]
    if len(named) < MOSTLY * len(items):
        return [], []
    return _chained(named)


def _chained(names: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """A chain; what comes again is the step that it was, and orders nothing anew."""
    steps = list(dict.fromkeys(names))
    places = [steps.index(name) for name in names]
    edges = [(a, b) for a, b in itertools.pairwise(places) if a < b]
    return steps, list(dict.fromkeys(edges))


def _mermaid(block: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    lines = [line.strip() for line in block if line.strip() and not line.strip().startswith("%%")]
    if not lines:
        return [], []
    if lines[0].startswith("sequenceDiagram"):
        told = (_MESSAGE.match(line) for line in lines[1:])
        named = (_operation(one["text"], bare=True) for one in told if one)
        return _chained([name for name in named if name])
    if lines[0].startswith(("graph", "flowchart")):
        return _charted(lines[1:])
    return [], []


def _charted(lines: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    labels: dict[str, str] = {}
    links: list[tuple[str, str]] = []
    for line in lines:
        pieces = [piece.strip(" ;") for piece in _LINK.split(line)]
        nodes = [_NODE.match(piece) for piece in pieces]
        found = [node for node in nodes if node]
        for node in found:
            labels.setdefault(node["id"], node["id"])
            if node["label"]:
                labels[node["id"]] = node["label"].strip()
        if len(found) == len(nodes):
            names = [node["id"] for node in found]
            links += itertools.pairwise(names)
    named = {name: _operation(label, bare=True) for name, label in labels.items()}
    steps = list(dict.fromkeys(step for step in named.values() if step))
    edges = []
    for a, b in links:
        first, second = named[a], named[b]
        if first and second and first != second:
            edges.append((steps.index(first), steps.index(second)))
    # A cycle orders nothing: an edge whose reverse is there as well is left out.
    return steps, [edge for edge in dict.fromkeys(edges) if edge[::-1] not in edges]


def _flow(
    file: str, line: int, steps: list[str], edges: list[tuple[int, int]], code: str
) -> Iterator[DocumentedFlow]:
    if len(steps) < MINIMUM_STEPS or not edges:
        return
    tails = (re.split(r"[.:/\s]", step.rstrip("/"))[-1] for step in steps)
    known = [bool(tail) and tail in code for tail in tails]
    yield DocumentedFlow(file=file, line=line, steps=steps, edges=edges, in_code=known)
