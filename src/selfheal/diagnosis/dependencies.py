"""Dependencies that are missing or of a wrong version: the line of the manifest that says so.

Distributions are named as PyPA's core metadata normalises them; which distribution brings
a module is known for those whose names differ, and the same name otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from selfheal.analysis.moved_names import gone_name
from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.diagnosis import Location, SuspectCommit
from selfheal.codebase.changes import MODULE
from selfheal.codebase.index import is_test
from selfheal.codebase.requirements import requirements
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.model import Cause, CodeRange

PIN_CHANGED = 0.9
IMPORT_ADDED = 0.7
# Import names whose distribution is called otherwise.
DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dns": "dnspython",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google.protobuf": "protobuf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "magic": "python-magic",
    "markdown": "markdown",
    "multipart": "python-multipart",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "websocket": "websocket-client",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


def is_own_module(anomaly: Anomaly, span: CodeRange) -> bool:
    """Whether an error about a package is about a package of the repository itself."""
    package = str(anomaly.evidence.get("package") or "")
    if not package:
        return False
    paths = (file.removeprefix("src/") for file in span.index.files if file.endswith(".py"))
    return any(path == f"{package}.py" or path.startswith(f"{package}/") for path in paths)


def explain_dependency(anomaly: Anomaly, span: CodeRange, config: DiagnoseConfig) -> Cause:
    """The cause of a missing distribution or a pin that the environment does not fulfil.

    The verdict is ``dependency``; the first location is the line of the manifest, where one
    names the distribution or is the one to name it, then the imports in the code.
    """
    evidence = anomaly.evidence
    module = str(evidence.get("package") or "")
    distribution = _normal(str(evidence.get("name") or DISTRIBUTIONS.get(module, module)))
    manifest, line, wanted = _wanted(span, distribution, evidence)
    imports = _imports(span, module or distribution.replace("-", "_"), evidence)
    suspects = _suspects(span, distribution, module, config.max_suspects)
    installed = evidence.get("installed")
    problem = _problem(evidence, wanted)
    return Cause(
        anomaly_ids=[anomaly.id],
        kind="dependency",
        service=anomaly.service,
        operation=anomaly.operation,
        title=anomaly.title,
        verdict="dependency" if span.bad else "insufficient_data",
        reason=_reason(distribution, manifest, line, wanted, installed, problem)
        if span.bad
        else f"{'; '.join(span.gaps)}.",
        locations=[*_manifest_location(manifest, line, distribution), *imports][
            : config.max_locations
        ],
        suspect_commits=suspects,
        root_service=anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence={
            "problem": problem,
            "distribution": distribution,
            "module": module,
            "manifest": manifest,
            "manifest_line": line,
            "manifests": sorted(span.manifests),
            "wanted": wanted,
            "installed": installed,
            "exception_type": evidence.get("exception_type"),
            "message": evidence.get("message"),
        },
    )


def _wanted(
    span: CodeRange, distribution: str, evidence: Mapping[str, object]
) -> tuple[str | None, int | None, str | None]:
    """(manifest, line, version specifier): where the distribution is required, or would be."""
    if isinstance(evidence.get("file"), str) and isinstance(evidence.get("line"), int):
        line = evidence["line"]
        return (
            str(evidence["file"]),
            line if isinstance(line, int) else None,
            str(evidence.get("specifier") or ""),
        )
    for file, text in sorted(span.manifests.items(), key=lambda item: _rank(item[0])):
        for number, row in enumerate(text.split("\n"), start=1):
            for name in re.findall(r"[A-Za-z0-9][\w.-]*", row.partition("#")[0])[:6]:
                if _normal(name) == distribution:
                    known = requirements(file, text).get(distribution)
                    return file, number, known or ""
    first = min(span.manifests, key=_rank, default=None)
    return first, None, None


def _rank(file: str) -> tuple[int, int, str]:
    """pyproject.toml first, then requirements nearest to the root; development files last."""
    name = file.rpartition("/")[2]
    order = 0 if name == "pyproject.toml" else 1 if name == "requirements.txt" else 2
    return order, file.count("/"), file


def _problem(evidence: Mapping[str, object], wanted: str | None) -> str:
    name = str(evidence.get("exception_type") or "").rpartition(".")[2]
    if name in ("VersionConflict", "ContextualVersionConflict"):
        return "conflict"
    if name in ("ModuleNotFoundError", "DistributionNotFound", "PackageNotFoundError"):
        return "missing" if wanted is None else "not_installed"
    if "specifier" in evidence:
        return "not_installed" if evidence.get("installed") is None else "wrong_version"
    return "moved_name"


def _reason(
    distribution: str,
    manifest: str | None,
    line: int | None,
    wanted: str | None,
    installed: object,
    problem: str,
) -> str:
    place = f"{manifest}:{line}" if line else manifest or "no manifest"
    there = f"{installed} is installed" if installed else "it is not installed"
    told = {
        "missing": f"{distribution} is imported and no manifest requires it ({place} could)",
        "not_installed": f"{place} requires {distribution}{wanted or ''}, and {there}",
        "wrong_version": f"{place} requires {distribution}{wanted or ''}, and {there}",
        "conflict": f"the version of {distribution} contradicts what another distribution requires",
        "moved_name": f"{distribution} no longer has a name that the code uses; {place} requires {wanted or 'any version of it'}",
    }
    return f"{told[problem]}."


def _manifest_location(
    manifest: str | None, line: int | None, distribution: str
) -> Iterator[Location]:
    if manifest is not None:
        does = "requires" if line else "does not require"
        yield Location(
            file=manifest,
            line=line or 1,
            function="",
            score=0.9 if line else 0.7,
            reasons=[f"{does} {distribution}"],
        )


def _imports(span: CodeRange, module: str, evidence: Mapping[str, object]) -> list[Location]:
    """Where code imports the module: first where the error came up, and what it misses."""
    _, gone = gone_name(str(evidence.get("message") or "")) or ("", "")
    found = []
    for file, names in sorted(span.index.imports.items()):
        origins = [origin for origin in names.values() if f"{origin}.".startswith(f"{module}.")]
        if not origins or is_test(file):
            continue
        lines = span.sources.get(file, "").split("\n")
        shape = re.compile(rf"\s*(?:from|import)\s+{re.escape(module)}\b")
        places = [number for number, text in enumerate(lines, 1) if shape.match(text)]
        traced = _traced(evidence, file)
        missed = [n for n in places if gone and re.search(rf"\b{gone}\b", lines[n - 1])]
        hit = next((n for n in places if n in traced), None)
        line = hit or next(iter([*missed, *places]), 1)
        location = Location(
            file=file, line=line, function=MODULE, score=0.5, reasons=[f"imports {origins[0]}"]
        )
        found.append((hit is None, not missed, location))
    return [location for *_, location in sorted(found, key=lambda each: each[:2])]


def _traced(evidence: Mapping[str, object], file: str) -> set[int]:
    """The lines of a file in the traceback, wherever production has the file."""
    frames = evidence.get("frames")
    return {
        int(frame.get("line") or 0)
        for frame in (frames if isinstance(frames, list) else ())
        if f"/{frame.get('file')}".endswith(f"/{file}")
    }


def _suspects(span: CodeRange, distribution: str, module: str, limit: int) -> list[SuspectCommit]:
    found = []
    for change in span.changes:
        score, reason = 0.0, ""
        if distribution in change.requirements:
            score, reason = PIN_CHANGED, f"changes the required version of {distribution}"
        elif module and any(
            _imports_it(item.after, module) and not _imports_it(item.before, module)
            for item in change.functions
        ):
            score, reason = IMPORT_ADDED, f"begins to import {module}"
        if score:
            found.append(
                SuspectCommit(
                    sha=change.sha,
                    score=score,
                    reason=reason,
                    summary=change.summary,
                    author=change.author,
                    files=change.files,
                )
            )
    return sorted(found, key=lambda item: -item.score)[:limit]


def _imports_it(source: str, module: str) -> bool:
    shape = rf"^\s*(?:from|import)\s+{re.escape(module)}\b"
    return re.search(shape, source, re.MULTILINE) is not None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
