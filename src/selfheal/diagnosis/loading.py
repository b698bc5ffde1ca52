"""Reads from git what the analyses need, once per pair of releases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.telemetry import Release, Telemetry
from selfheal.codebase.changes import CommitChange, changes_between
from selfheal.codebase.history import History
from selfheal.codebase.index import CodeIndex, Definition, FactsCache, is_test, is_vendored
from selfheal.codebase.requirements import is_manifest
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.model import AnomalySet, BlameRange, Codebase, CodeRange, ReleasePair
from selfheal.diagnosis.spectrum import Spectrum
from selfheal.diagnosis.traces import code_files, code_functions
from selfheal.telemetry.statistics import UNKNOWN

CALL_DEPTH = 4


def load_codebase(
    history: History | None,
    anomalies: AnomalySet,
    telemetry: Telemetry,
    config: DiagnoseConfig,
    cache: FactsCache | None = None,
) -> Codebase:
    """The code ranges of all compared releases. Without a repository, ranges that say so.

    Raises RepositoryError where git itself fails.
    """
    if history is None:
        gap = "no repository was given"
        empty = CodeIndex.of({})
        return Codebase(
            ranges=[CodeRange(pair=pair, gaps=[gap], index=empty) for pair in anomalies.pairs]
        )
    named = _Named(
        files=_named_files(anomalies, telemetry.dataset),
        functions=[*code_functions(telemetry.dataset), *_steps(anomalies)],
        requirements=bool(anomalies.of("dependency")),
    )
    return Codebase(
        ranges=[
            _load_range(history, pair, telemetry.releases, named, config, cache)
            for pair in anomalies.pairs
        ]
    )


def with_spectra(history: History, codebase: Codebase, spectra: Sequence[Spectrum]) -> Codebase:
    """The same code ranges with the texts of all files that failing tests ran."""
    ranges = []
    for span in codebase.ranges:
        of_span = [found for found in spectra if found.commit == span.bad]
        ran = {file for found in of_span for file in found.files} & span.index.known
        missing = sorted(file for file in ran - span.sources.keys() if file.endswith(".py"))
        texts = history.texts([f"{span.bad}:{file}" for file in missing])
        read = {file: text for file, text in zip(missing, texts, strict=True) if text is not None}
        sources = dict(sorted((span.sources | read).items()))
        ranges.append(span.model_copy(update={"sources": sources}))
    return Codebase(ranges=ranges, spectra=list(spectra))


@dataclass(frozen=True)
class _Named:
    """The paths and functions that the evidence names."""

    files: list[str]
    functions: list[str]
    requirements: bool


def _load_range(
    history: History,
    pair: ReleasePair,
    releases: Sequence[Release],
    named: _Named,
    config: DiagnoseConfig,
    cache: FactsCache | None,
) -> CodeRange:
    gaps: list[str] = []
    bad = _commit_of(history, pair, pair.candidate, releases, gaps)
    good = _commit_of(history, pair, pair.baseline, releases, gaps) if pair.baseline else None
    if pair.candidate in (None, UNKNOWN):
        gaps.clear()
        bad = history.resolve("HEAD")
        gaps.append("the telemetry names no release, so HEAD is taken for what runs")
    if bad is None:
        return CodeRange(pair=pair, good=good, gaps=gaps, index=CodeIndex.of({}))
    index = CodeIndex.build(history, bad, vendored=config.vendored, cache=cache)
    changes = _changes(history, good, bad, config.vendored)
    files = _relevant_files(index, changes, named)
    texts = history.texts([f"{bad}:{file}" for file in files])
    sources = {file: text for file, text in zip(files, texts, strict=True) if text is not None}
    return CodeRange(
        pair=pair,
        good=good,
        bad=bad,
        gaps=gaps,
        index=index,
        sources=sources,
        good_sources=_good_sources(history, good, bad, files),
        changes=changes,
        blame=_blame(history, good, bad, changes, sources),
        manifests=_manifests(history, bad) if named.requirements else {},
    )


def _manifests(history: History, bad: str) -> dict[str, str]:
    files = [file for file in history.files(bad) if is_manifest(file) and not is_test(file)]
    texts = history.texts([f"{bad}:{file}" for file in files])
    return {file: text for file, text in zip(files, texts, strict=True) if text is not None}


def _commit_of(
    history: History,
    pair: ReleasePair,
    version: str | None,
    releases: Sequence[Release],
    gaps: list[str],
) -> str | None:
    if version is None:
        return None
    hints = [
        release.commit
        for release in releases
        if release.version == version and release.service == pair.service and release.commit
    ]
    sha = history.release_commit(version, hints[0] if hints else None)
    if sha is None:
        told = f"commit {hints[0]} of release {version} is" if hints else f"release {version} is"
        shallow = " (the clone is shallow)" if history.shallow else ""
        gaps.append(
            f"{told} not in this repository{shallow}; a tag v{version} or the span attribute vcs.ref.head.revision would name it"
        )
    return sha


def _changes(
    history: History, good: str | None, bad: str, vendored: Sequence[str]
) -> list[CommitChange]:
    """The changes of a range without those that the project says to pass over, and vendored code."""
    if good is None or good == bad:
        return []
    ignored = set(history.ignored_revisions(bad))
    found = []
    for change in changes_between(history, good, bad):
        if change.sha in ignored:
            continue
        functions = [item for item in change.functions if not is_vendored(item.file, vendored)]
        files = [file for file in change.files if not is_vendored(file, vendored)]
        if files:
            found.append(change.model_copy(update={"functions": functions, "files": files}))
    return found


def _steps(anomalies: AnomalySet) -> list[str]:
    """The steps that anomalies of behaviour and state name: beats bear their functions' names."""
    named = {str(item.evidence.get("step") or "") for item in anomalies.anomalies}
    return sorted(named - {""})


def _named_files(anomalies: AnomalySet, dataset: Dataset) -> list[str]:
    """The paths that telemetry and the anomalies' evidence name."""
    found = set(code_files(dataset))
    for anomaly in anomalies.anomalies:
        frames = anomaly.evidence.get("frames") or []
        found |= {str(frame.get("file")) for frame in frames if isinstance(frame, dict)}
        if isinstance(anomaly.evidence.get("file"), str):
            found.add(anomaly.evidence["file"])
    return sorted(found)


def _relevant_files(
    index: CodeIndex,
    changes: Sequence[CommitChange],
    named: _Named,
) -> list[str]:
    """The code that the evidence names, what it calls, and what the commits changed."""
    known = set(index.files)
    files = {file for path in named.files if (file := index.locate(path))}
    files |= {found.file for name in named.functions for found in index.find(name)[:1]}
    front = [found for found in index.definitions if found.file in files]
    files |= {found.file for found in _reached(index, front)}
    files |= {file for change in changes for file in change.files}
    return sorted(file for file in files & known if file.endswith(".py") and not is_test(file))


def _reached(index: CodeIndex, front: list[Definition]) -> list[Definition]:
    seen = {(found.file, found.qualified_name): found for found in front}
    for _ in range(CALL_DEPTH):
        front = [
            target
            for definition in front
            for target in index.callees(definition)
            if (target.file, target.qualified_name) not in seen
        ]
        seen |= {(found.file, found.qualified_name): found for found in front}
    return list(seen.values())


def _good_sources(
    history: History, good: str | None, bad: str, files: Sequence[str]
) -> dict[str, str]:
    """The same files at the good commit, by their path at the bad one."""
    if good is None or good == bad:
        return {}
    old = {diff.path: diff.old_path for diff in history.diff(good, bad)}
    texts = history.texts([f"{good}:{old.get(file, file)}" for file in files])
    return {file: text for file, text in zip(files, texts, strict=True) if text is not None}


def _blame(
    history: History,
    good: str | None,
    bad: str,
    changes: Sequence[CommitChange],
    sources: Iterable[str],
) -> dict[str, list[BlameRange]]:
    """Which lines the commits of the range wrote; commits that only changed looks are passed over."""
    if good is None or good == bad:
        return {}
    touched = {file for change in changes for file in change.files}
    cosmetic = [change.sha for change in changes if _only_looks(change)]
    found = {}
    for file in sorted(touched & set(sources)):
        ranges: list[BlameRange] = []
        for line in history.blame(bad, file, since=good, ignore=cosmetic):
            if line.boundary:
                continue
            last = ranges[-1] if ranges else None
            if last and last.sha == line.sha and last.last == line.line - 1:
                ranges[-1] = last.model_copy(update={"last": line.line})
            else:
                ranges.append(BlameRange(first=line.line, last=line.line, sha=line.sha))
        found[file] = ranges
    return found


def _only_looks(change: CommitChange) -> bool:
    code = [file for file in change.files if file.endswith(".py")]
    return bool(code) and all(item.kind == "cosmetic" for item in change.functions)
