"""Graphs as Mermaid flowcharts and as Graphviz DOT."""

from __future__ import annotations

from itertools import groupby

from selfheal.reports.model import Graph, Node, Report


def mermaid(report: Report) -> str:
    """A ``flowchart``; nodes of one group stand in one subgraph, bad ones are marked."""
    graph = report.graph()
    names = _names(graph)
    lines = ["flowchart LR"]
    if report.empty:
        lines.append(f"    %% nothing to show: {report.empty}")
    for number, (group, nodes) in enumerate(_groups(graph)):
        indent = "    "
        if group:
            lines.append(f'    subgraph g{number}["{_mermaid(group)}"]')
            indent = "        "
        lines += [f'{indent}{names[node.id]}["{_mermaid(node.label)}"]' for node in nodes]
        if group:
            lines.append("    end")
    for edge in graph.edges:
        label = f'|"{_mermaid(edge.label)}"|' if edge.label else ""
        arrow = "-.->" if edge.bad else "-->"
        lines.append(f"    {names[edge.source]} {arrow}{label} {names[edge.target]}")
    bad = [names[node.id] for node in graph.nodes if node.bad]
    if bad:
        lines += [
            "    classDef bad stroke:#c8372d,stroke-width:3px",
            f"    class {','.join(bad)} bad",
        ]
    return "\n".join(lines)


def dot(report: Report) -> str:
    """A ``digraph``; nodes of one group form a cluster."""
    graph = report.graph()
    names = _names(graph)
    lines = [
        "digraph {",
        "    rankdir=LR;",
        '    node [shape=box, style=rounded, fontname="sans-serif"];',
    ]
    if report.empty:
        lines.append(f"    // nothing to show: {report.empty}")
    for number, (group, nodes) in enumerate(_groups(graph)):
        if group:
            lines += [f"    subgraph cluster_{number} {{", f"        label={_quoted(group)};"]
        for node in nodes:
            red = ", color=red" if node.bad else ""
            lines.append(f"        {names[node.id]} [label={_quoted(node.label)}{red}];")
        if group:
            lines.append("    }")
    for edge in graph.edges:
        red = ", color=red" if edge.bad else ""
        lines.append(
            f"    {names[edge.source]} -> {names[edge.target]} [label={_quoted(edge.label)}{red}];"
        )
    return "\n".join([*lines, "}"])


def _names(graph: Graph) -> dict[str, str]:
    return {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}


def _groups(graph: Graph) -> list[tuple[str, list[Node]]]:
    ordered = sorted(graph.nodes, key=lambda node: node.group)
    return [(group, list(nodes)) for group, nodes in groupby(ordered, key=lambda node: node.group)]


def _mermaid(text: str) -> str:
    """Mermaid reads ``#code;`` entities; its own marks must not come through."""
    plain = " ".join(text.split())
    return "".join(f"#{ord(mark)};" if mark in '#"<>&;|`\\' else mark for mark in plain)


def _quoted(text: str) -> str:
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
