"""Dependencies: packages that are missing or of a wrong version.

Errors of the import system are found by fingerprint like all errors; those about a
package that is not the service's own are of the kind dependency. Pins are held against
the versions in the service's environment, where that is known.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.moved_names import MOVES, gone_name
from selfheal.analysis.promises import Pin
from selfheal.artifacts import Anomaly
from selfheal.artifacts.anomalies import Detector
from selfheal.artifacts.canonical import short_id

DETECTOR = "pinned_versions"

_OF_IMPORTS = {
    "ModuleNotFoundError",
    "ImportError",
    "DistributionNotFound",
    "PackageNotFoundError",
    "VersionConflict",
    "ContextualVersionConflict",
    "UnknownExtra",
}
_NAMED = re.compile(
    r"No module named ['\"](?P<missing>[\w.]+)"
    r"|cannot import name .*? from (?:partially initialized module )?['\"](?P<source>[\w.]+)"
    r"|module ['\"](?P<module>[\w.]+)['\"] has no attribute"
    r"|(?:The ['\"]|distribution |package )(?P<distribution>[\w.-]+)"
)


def missing_package(
    exception_type: str | None, message: str | None, frames: str | None
) -> str | None:
    """The package that an error of the import system is about; None for all other errors.

    A module that lies in the service's own code (a frame's path names its folder or
    file) is a fault of that code, not of a dependency; so is a name that the standard
    library never had.
    """
    name = (exception_type or "").rpartition(".")[2]
    found = _NAMED.search(message or "")
    package = next((one for one in found.groups() if one), None) if found else None
    if name == "AttributeError":
        package = found.group("module") if found else None
    elif name not in _OF_IMPORTS:
        return None
    if package is None:
        return None
    top = package.partition(".")[0]
    gone = gone_name(message or "")
    if gone and top in sys.stdlib_module_names and gone not in MOVES:
        return None
    return None if top in _own(frames) else top


def _own(frames: str | None) -> set[str]:
    """Folders and files that the service's own frames lie in."""
    names: set[str] = set()
    for frame in json.loads(frames or "[]"):
        file = str(frame.get("file") or "").replace("\\", "/")
        if "site-packages/" in file or "/lib/python" in file:
            continue
        pieces = file.split("/")
        names.update(pieces[:-1])
        names.add(pieces[-1].removesuffix(".py"))
    return names


def detect_pins(data: DetectionData) -> Findings:
    """Requirements that the service's environment does not fulfil."""
    anomalies = [
        _anomaly(pin, comparison)
        for comparison in data.comparisons
        if (promises := data.promises.get(comparison.service)) is not None
        for pin in promises.pins or ()
        if not pin.fits
    ]
    return Findings(anomalies=anomalies)


def _anomaly(pin: Pin, comparison: Comparison) -> Anomaly:
    there = "is not installed" if pin.installed is None else f"is {pin.installed}"
    evidence: Mapping[str, Any] = pin.model_dump(mode="json")
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, pin.name, pin.file),
        kind="dependency",
        service=comparison.service,
        operation=comparison.service,
        severity="high" if pin.installed is None else "medium",
        score=1.0,
        title=f"{pin.file}:{pin.line} wants {pin.name}{pin.specifier}, which {there}",
        count=1,
        detector=Detector(
            name=DETECTOR,
            parameters={"name": pin.name, "specifier": pin.specifier},
            window=comparison.window,
        ),
        evidence=dict(evidence),
    )
