"""The diagram of a flow in the project's documents, kept within markers.

    <!-- selfheal:flow NAME -->
    ```mermaid
    flowchart TD
    …
    ```
    <!-- /selfheal:flow -->

What stands between the markers is generated; all else in the document stays to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from selfheal.repair.problem import Problem

DEFAULT_PATH = "docs/flows.md"
_CLOSE = "<!-- /selfheal:flow -->"


def marker(name: str) -> str:
    """The opening marker of a flow."""
    return f"<!-- selfheal:flow {name} -->"


def diagram(steps: Sequence[str]) -> str:
    """Steps in a row as a Mermaid flow chart (mermaid.js.org, "Flowcharts")."""
    lines = ["```mermaid", "flowchart TD"]
    for number, step in enumerate(steps, start=1):
        text = step.replace('"', "#quot;")
        lines.append(f'    s{number}["{text}"]')
    lines += [f"    s{number} --> s{number + 1}" for number in range(1, len(steps))]
    return "\n".join([*lines, "```"])


def with_flow(text: str | None, name: str, steps: Sequence[str]) -> str:
    """A document with the diagram of a flow: between its markers, else as a section at the end."""
    block = f"{marker(name)}\n{diagram(steps)}\n{_CLOSE}"
    if text is None:
        return f"# Flows\n\n## {name}\n\n{block}\n"
    newline = "\r\n" if "\r\n" in text else "\n"
    block = block.replace("\n", newline)
    known = re.compile(f"{re.escape(marker(name))}.*?{re.escape(_CLOSE)}", re.DOTALL)
    if known.search(text):
        return known.sub(lambda _: block, text, count=1)
    gap = "" if text.endswith(newline * 2) else newline if text.endswith("\n") else newline * 2
    return f"{text}{gap}## {name}{newline}{newline}{block}{newline}"


def flow_document(problem: Problem, name: str, steps: Sequence[str]) -> dict[str, str | None]:
    """The document to be changed, by its path: that which has the flow, or any flow, or a new one."""
    marked = [path for path in sorted(problem.sources) if path.endswith((".md", ".rst", ".txt"))]
    own = [path for path in marked if marker(name) in problem.sources[path]]
    any_flow = [path for path in marked if "<!-- selfheal:flow " in problem.sources[path]]
    path = next(iter([*own, *any_flow]), DEFAULT_PATH)
    return {path: with_flow(problem.sources.get(path), name, steps)}
