"""A flow that a document tells, with the characters of its steps: to be dropped, renamed, reordered.

The flow is the one that `selfheal.analysis.flow_documents` reads: a line with arrows, a
numbered list, or a Mermaid diagram (flow chart or sequence diagram).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from selfheal.analysis.flow_documents import read_flows
from selfheal.repair.documents import Line, lines, removed
from selfheal.repair.edit import Splice

Form = Literal["arrows", "list", "chart", "sequence"]

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})\s*(\w*)")
_ITEM = re.compile(r"^(\s{0,3})(\d+)([.)]\s+)(?=\S)")
_EDGE = re.compile(
    r"^(?P<indent>\s*)(?P<first>[\w.-]+)(?P<one>\s*[\[({>]+.*?[\])}]+)?"
    r"(?P<arrow>\s*(?:-+\.?-*>|=+>|--+)\s*(?:\|[^|]*\|\s*)?)"
    r"(?P<second>[\w.-]+)(?P<other>\s*[\[({>]+.*?[\])}]+)?\s*;?\s*$"
)


class Slot(NamedTuple):
    """Where a step's name stands: characters ``start:stop`` of the document, in `line`."""

    step: str
    line: Line
    start: int
    stop: int


class FlowText(NamedTuple):
    """A flow of a document: its steps in order, every place that names one, its lines."""

    path: str
    text: str
    form: Form
    steps: list[str]
    slots: list[Slot]
    lines: list[Line]

    def renamed(self, names: Mapping[str, str]) -> list[Splice]:
        """Steps under other names, wherever the flow names them; a permutation reorders it."""
        return [
            Splice(path=self.path, start=each.start, stop=each.stop, text=names[each.step])
            for each in self.slots
            if names.get(each.step, each.step) != each.step
        ]

    def reordered(self, steps: Sequence[str]) -> list[Splice]:
        """The same steps in another order: what stands around each place stays where it is."""
        if self.form != "list":
            return self.renamed(dict(zip(self.steps, steps, strict=True)))
        bodies = {step: self._body(line) for step, line in self._items().items()}
        if set(bodies) != set(self.steps):
            return []
        return [
            Splice(path=self.path, start=start, stop=stop, text=self.text[slice(*bodies[new])])
            for (start, stop), new in zip((bodies[each] for each in self.steps), steps, strict=True)
        ]

    def without(self, step: str) -> list[Splice]:
        """The flow with a step left out; empty where that cannot be written down."""
        if step not in self.steps:
            return []
        if self.form == "list":
            return self._without_item(step)
        if self.form == "arrows":
            return self._without_piece(step)
        if self.form == "sequence":
            gone = {each.line for each in self.slots if each.step == step}
            return [removed(each, self.text) for each in sorted(gone)]
        return self._without_node(step)

    def _items(self) -> dict[str, Line]:
        found: dict[str, Line] = {}
        for each in self.slots:
            found.setdefault(each.step, each.line)
        return found

    def _body(self, line: Line) -> tuple[int, int]:
        head = _ITEM.match(line.text)
        return line.start + (head.end() if head else 0), line.stop

    def _without_item(self, step: str) -> list[Splice]:
        gone = self._items().get(step)
        if gone is None:
            return []
        heads = [(each, head) for each in self.lines if (head := _ITEM.match(each.text))]
        numbers = [int(head[2]) for _, head in heads]
        splices = [removed(gone, self.text)]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or len(numbers) < 2:
            return splices
        splices += [
            each.splice(head.start(2), head.end(2), str(int(head[2]) - 1))
            for each, head in heads
            if each.number > gone.number
        ]
        return splices

    def _without_piece(self, step: str) -> list[Splice]:
        place = next((n for n, each in enumerate(self.slots) if each.step == step), None)
        if place is None:
            return []
        slot = self.slots[place]
        if place:
            start, stop = self.slots[place - 1].stop, slot.stop
        elif len(self.slots) > 1:
            start, stop = slot.start, self.slots[1].start
        else:
            return []
        return [Splice(path=self.path, start=start, stop=stop, text="")]

    def _without_node(self, step: str) -> list[Splice]:
        """A node of a chain: what comes before it leads to what came after it."""
        edges = [(line, edge) for line in self.lines if (edge := _EDGE.match(line.text))]
        labelled = next((each for each in self.slots if each.step == step), None)
        if labelled is None:
            return []
        node = _node_of(labelled)
        into = [(line, edge) for line, edge in edges if edge["second"] == node]
        out = [(line, edge) for line, edge in edges if edge["first"] == node]
        alone = [
            line
            for line in self.lines
            if re.match(rf"\s*{re.escape(node)}\s*[\[({{>]", line.text)
            and not _EDGE.match(line.text)
        ]
        if len(into) > 1 or len(out) > 1:
            return []
        splices = [removed(line, self.text) for line in alone]
        if into and out:
            (line, edge), (after, following) = into[0], out[0]
            target = following["second"] + (following["other"] or "")
            splices.append(line.splice(edge.start("second"), max(edge.end("second"), edge.end("other")), target))  # fmt: skip
            splices.append(removed(after, self.text))
            return splices
        for line, edge in [*into, *out]:
            # The node at the other end may have its label in this line alone.
            kept = edge["first"] + (edge["one"] or "") if into else edge["second"] + (edge["other"] or "")  # fmt: skip
            splices.append(line.splice(len(edge["indent"]), len(line.text), kept))
        return splices


def _node_of(slot: Slot) -> str:
    """The id of the node that a label belongs to, or the label itself where it is the id."""
    before = slot.line.text[: slot.start - slot.line.start]
    found = re.search(r"([\w.-]+)\s*[\[({>]+[\"']?$", before)
    return found[1] if found else slot.step


def flow_at(path: str, text: str, number: int | None, step: str | None = None) -> FlowText | None:
    """The flow that begins in a line of a document (from 1), or the first that has a step."""
    for flow in read_flows(path, text, ""):
        if flow.line == number or (step is not None and step in flow.steps):
            return _located(path, text, flow.line, flow.steps)
    return None


def flows_with(path: str, text: str, step: str) -> list[FlowText]:
    """All flows of a document that have a step."""
    return [
        _located(path, text, flow.line, flow.steps)
        for flow in read_flows(path, text, "")
        if step in flow.steps
    ]


def _located(path: str, text: str, number: int, steps: Sequence[str]) -> FlowText:
    every = lines(path, text)
    form, own = _lines_of(every, number)
    slots = [slot for line in own for slot in _slots(line, steps)]
    if form == "arrows":
        first = {each.step: each for each in reversed(slots)}
        slots = sorted(first.values(), key=lambda each: each.start)
    return FlowText(path, text, form, list(steps), slots, own)


def _lines_of(every: Sequence[Line], number: int) -> tuple[Form, list[Line]]:
    first = every[number - 1]
    fence = _FENCE.match(first.text)
    if fence is not None:
        block: list[Line] = []
        for line in every[number:]:
            if line.text.strip().startswith(fence[1]):
                break
            block.append(line)
        is_sequence = any(each.text.strip().startswith("sequenceDiagram") for each in block[:3])
        return "sequence" if is_sequence else "chart", block
    if _ITEM.match(first.text) is None:
        return "arrows", [first]
    items: list[Line] = []
    for line in every[number - 1 :]:
        if _ITEM.match(line.text):
            items.append(line)
        elif not line.text.strip() or not line.text[:1].isspace():
            break
    return "list", items


def _slots(line: Line, steps: Sequence[str]) -> list[Slot]:
    """Every place of a line that names a step; the longest name counts."""
    ranked = sorted(set(steps), key=len, reverse=True)
    named = re.compile(
        "|".join(rf"(?<![\w./:-]){re.escape(each)}(?![\w-]|[./:]\w)" for each in ranked)
    )
    return [
        Slot(found[0], line, line.start + found.start(), line.start + found.end())
        for found in named.finditer(line.text)
    ]  # fmt: skip
