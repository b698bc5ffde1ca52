"""Beat 8 of detect: anomalies.json, and the same as a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies
from selfheal.contract import Workspace, handler
from selfheal.standalone import FolderWorkspace
from selfheal_handlers.anomaly.aggregate_anomaly_results import aggregate_anomaly_results
from selfheal_handlers.anomaly.aggregate_anomaly_results import example as aggregate_example


def example(folder: Path) -> dict[str, Any]:
    return {
        "aggregate_anomaly_results": aggregate_anomaly_results(**aggregate_example(folder)),
        "workspace": FolderWorkspace(folder),
    }


@handler("store_anomaly_results", kind="stage-crew", writes="anomalies", example=example)
def store_anomaly_results(aggregate_anomaly_results: Anomalies, workspace: Workspace) -> Anomalies:
    """Store the anomalies and write ``reports/anomalies.md``."""
    workspace.write("reports/anomalies.md", page(aggregate_anomaly_results))
    return aggregate_anomaly_results


def page(anomalies: Anomalies) -> str:
    """The anomalies, the health score and the open questions as Markdown."""
    health = anomalies.health
    lines = ["# Anomalies", ""]
    for anomaly in anomalies.anomalies:
        lines.append(f"- **{anomaly.severity}** {anomaly.title} ({anomaly.kind}, `{anomaly.id}`)")
    if not anomalies.anomalies:
        lines.append("None was found.")
    score = "no data" if health.score is None else f"{health.score:.1f} of 100"
    lines += ["", f"# Health: {score}", ""]
    for part in health.components:
        value = "no data" if part.score is None else f"{part.score:.1f}"
        lines.append(f"- {part.name}: {value} × {part.weight:g}: {part.explanation}")
    if anomalies.roots:
        lines += ["", "# Where it begins", ""]
    for root in anomalies.roots:
        below = ", ".join(root.evidence["anomalous_callees"]) or "nothing anomalous"
        lines.append(f"- {root.service}: {root.score:.2f}, calls {below}")
    if anomalies.undecided:
        lines += ["", "# Undecided", ""]
    for question in anomalies.undecided:
        needed = f"; needed: {question.needed}" if question.needed else ""
        lines.append(f"- {question.operation} ({question.detector}): {question.reason}{needed}")
    return "\n".join(lines) + "\n"
