"""Findings as SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from selfheal import __version__
from selfheal.reports.model import Finding, Report

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif(report: Report) -> str:
    """One run of the tool ``selfheal`` with the report's findings.

    Files are relative to ``SRCROOT`` where the repository has them; a finding whose code
    is not known has no location.
    """
    findings = report.findings()
    rules = {finding.rule: finding for finding in findings}
    order = sorted(rules)
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "selfheal",
                        "semanticVersion": __version__,
                        "rules": [_rule(rules[name]) for name in order],
                    }
                },
                "automationDetails": {"id": f"{report.report}/{report.run_id}"},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, order.index(finding.rule)) for finding in findings],
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.rule,
        "name": "".join(part.capitalize() for part in finding.rule.split("/")[-1].split("-")),
        "shortDescription": {"text": finding.description},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": finding.message},
        "partialFingerprints": {"selfheal/v1": finding.fingerprint},
    }
    if finding.place is not None:
        result["locations"] = [_location(finding)]
    if finding.properties:
        result["properties"] = finding.properties
    return result


def _location(finding: Finding) -> dict[str, Any]:
    place = finding.place
    assert place is not None
    absolute = place.file.startswith("/")
    artifact: dict[str, Any] = {"uri": ("file://" if absolute else "") + quote(place.file)}
    if not absolute:
        artifact["uriBaseId"] = "SRCROOT"
    physical: dict[str, Any] = {"artifactLocation": artifact}
    if place.line:
        physical["region"] = {"startLine": place.line}
    location: dict[str, Any] = {"physicalLocation": physical}
    if place.function:
        location["logicalLocations"] = [{"fullyQualifiedName": place.function, "kind": "function"}]
    return location
