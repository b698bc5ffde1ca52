"""A sequence as a picture: Mermaid or DOT text of what waits for what."""

from __future__ import annotations

from typing import Literal

from selfheal.sequences.model import Sequence
from selfheal.sequences.wired import Lookup, WiredSequence
from selfheal.sequences.wiring import wire


def graph(sequence: Sequence, lookup: Lookup, style: Literal["mermaid", "dot"] = "mermaid") -> str:
    """The wired beats of a sequence as Mermaid or Graphviz DOT.

    Solid arrows carry data, dotted ones are order alone; rounded (Mermaid) or
    ellipse-shaped (DOT) nodes are stage-crew. `lookup` as for `wire`, whose errors it
    raises too.
    """
    wired = wire(sequence, lookup)
    return _mermaid(wired) if style == "mermaid" else _dot(wired)


def _mermaid(wired: WiredSequence) -> str:
    lines = ["flowchart TD"]
    for artifact in sorted(wired.artifacts):
        lines.append(f"    {artifact}[/{artifact}.json/]")
    for beat in wired.beats:
        left, right = ("([", "])") if beat.handler.kind == "stage-crew" else ("[", "]")
        lines.append(f"    {beat.id}{left}{beat.id}{right}")
    for beat in wired.beats:
        lines += [f"    {artifact} --> {beat.id}" for artifact in sorted(beat.artifacts)]
        lines += [f"    {before} --> {beat.id}" for before in sorted(beat.reads)]
        lines += [f"    {before} -.-> {beat.id}" for before in sorted(beat.follows)]
    for artifact, writer in sorted(wired.writers.items()):
        lines.append(f"    {writer} ==> {artifact}_out[/{artifact}.json/]")
    return "\n".join(lines) + "\n"


def _dot(wired: WiredSequence) -> str:
    lines = [f'digraph "{wired.sequence.id}" {{', "    rankdir = TB;"]
    for artifact in sorted(wired.artifacts):
        lines.append(f'    "{artifact}" [label="{artifact}.json", shape=note];')
    for beat in wired.beats:
        shape = "ellipse" if beat.handler.kind == "stage-crew" else "box"
        lines.append(f'    "{beat.id}" [shape={shape}];')
    for beat in wired.beats:
        lines += [f'    "{a}" -> "{beat.id}";' for a in sorted(beat.artifacts | beat.reads)]
        lines += [f'    "{b}" -> "{beat.id}" [style=dotted];' for b in sorted(beat.follows)]
    for artifact, writer in sorted(wired.writers.items()):
        lines.append(f'    "{artifact} out" [label="{artifact}.json", shape=note];')
        lines.append(f'    "{writer}" -> "{artifact} out" [style=bold];')
    return "\n".join([*lines, "}"]) + "\n"
