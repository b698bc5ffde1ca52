"""Places for the nodes of a graph: callers to the left, what they call to the right.

Longest-path layering of the condensed graph, then two sweeps of the barycentre heuristic
against crossings (Sugiyama, Tagawa, Toda: "Methods for visual understanding of
hierarchical system structures", 1981).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.reports.model import Graph

SWEEPS = 4


def laid_out(graph: Graph, told: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """The data of a chart of kind `graph`; `told` are lines of text by node id."""
    places = _places(graph)
    labels = {node.id: node.label for node in graph.nodes}
    return {
        "nodes": [
            {
                **node.model_dump(),
                "x": places[node.id][0],
                "y": places[node.id][1],
                "told": [node.label, *(told or {}).get(node.id, [])],
            }
            for node in graph.nodes
        ],
        "edges": [
            {
                **edge.model_dump(),
                "told": [f"{labels[edge.source]} → {labels[edge.target]}", edge.label],
            }
            for edge in graph.edges
        ],
    }


def _places(graph: Graph) -> dict[str, tuple[int, float]]:
    import networkx as nx

    directed: Any = nx.DiGraph()
    directed.add_nodes_from(node.id for node in graph.nodes)
    directed.add_edges_from((edge.source, edge.target) for edge in graph.edges)
    condensed = nx.condensation(directed)
    layer: dict[int, int] = {}
    for component in nx.topological_sort(condensed):
        above = [layer[one] for one in condensed.predecessors(component)]
        layer[component] = max(above, default=-1) + 1
    columns: dict[int, list[str]] = {}
    for node in graph.nodes:
        columns.setdefault(layer[condensed.graph["mapping"][node.id]], []).append(node.id)
    rows = {name: float(at) for names in columns.values() for at, name in enumerate(names)}
    for sweep in range(SWEEPS):
        near = directed.predecessors if sweep % 2 == 0 else directed.successors
        for column in sorted(columns, reverse=bool(sweep % 2)):
            names = columns[column]
            names.sort(key=lambda name: (_middle(rows, list(near(name)), rows[name]), name))
            rows.update({name: float(at) for at, name in enumerate(names)})
    tallest = max((len(names) for names in columns.values()), default=0)
    return {
        name: (column, rows[name] + (tallest - len(names)) / 2)
        for column, names in columns.items()
        for name in names
    }


def _middle(rows: Mapping[str, float], near: list[str], own: float) -> float:
    return sum(rows[name] for name in near) / len(near) if near else own
