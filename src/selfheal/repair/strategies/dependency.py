"""Requirements of the manifest that fit the code and what is installed or offered by an index."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selfheal.artifacts.model import AnomalyKind
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.environment import Environment, contains
from selfheal.repair.manifest import (
    Manifest,
    Stated,
    bound,
    normal,
    read_manifest,
    with_name,
    with_requirement,
    with_specifier,
)
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import Strategy

REQUIRE, RENAME, CHANGE = "require", "rename_requirement", "change_version"
KINDS: frozenset[AnomalyKind] = frozenset({"dependency"})
# Where several manifests could name a distribution, the likeliest is the diagnosis' own.
OTHER_MANIFEST = 0.75
AUXILIARY = re.compile(r"(?i)dev|test|doc|lint|constraint")


def manifests(problem: Problem) -> Iterator[tuple[Manifest, float]]:
    """The manifests that may be edited, with how likely each is the one to edit.

    Files with hashes are a tool's output, and those for development say nothing of what
    production has.
    """
    named = str(problem.diagnosis.evidence.get("manifest") or "")
    paths = [named, *sorted(set(problem.sources) - {named})]
    for path in paths:
        found = read_manifest(path, problem.sources.get(path, ""))
        if found is None or found.locked or path not in problem.sources:
            continue
        if path == named:
            yield found, 1.0
        elif not AUXILIARY.search(path):
            yield found, OTHER_MANIFEST


def propose_require(problem: Problem) -> Iterator[Edit]:
    """Name a distribution that the code imports and no manifest requires."""
    evidence = problem.diagnosis.evidence
    if evidence.get("problem") != "missing":
        return
    for name, version, weight in _providers(problem):
        for manifest, fit in manifests(problem):
            for specifier, how in _bounds(manifest, version):
                splice = with_requirement(manifest, name, specifier)
                if splice is None:
                    continue
                yield _edit(
                    REQUIRE,
                    "bound" if specifier else "any_version",
                    f"{manifest.path} requires `{name}{specifier}`, which the code imports "
                    f"({_told(problem.environment, name, version)}).",
                    fit * weight * how,
                    splice,
                    name,
                    specifier,
                )


def propose_rename(problem: Problem) -> Iterator[Edit]:
    """A requirement that is called as its module is gets the distribution's name."""
    evidence = problem.diagnosis.evidence
    module = str(evidence.get("module") or "")
    for name, version, weight in _providers(problem):
        for manifest, fit in manifests(problem):
            stated = manifest.of(module) if module else None
            if stated is None or stated.name == normal(name) or manifest.of(name):
                continue
            splice = with_name(stated, name)
            if splice is None or not contains(stated.specifier, version):
                continue
            yield _edit(
                RENAME,
                RENAME,
                f"`{module}` is brought by `{name}`, and {manifest.path} says so.",
                fit * weight,
                splice,
                name,
                stated.specifier,
            )


def propose_change(problem: Problem) -> Iterator[Edit]:
    """Another version for a requirement that is not fulfilled: the good release's, or one that is."""
    evidence = problem.diagnosis.evidence
    name = str(evidence.get("distribution") or "")
    if evidence.get("problem") not in ("wrong_version", "conflict", "not_installed", "moved_name"):
        return
    for manifest, fit in manifests(problem):
        stated = manifest.of(name)
        if stated is None:
            continue
        for template, specifier, why, weight in _versions(problem, manifest, stated):
            if specifier == stated.specifier:
                continue
            yield _edit(
                CHANGE,
                template,
                f"{manifest.path} requires `{name}{specifier}` in place of "
                f"`{name}{stated.specifier}`: {why}.",
                fit * weight,
                with_specifier(stated, specifier),
                name,
                specifier,
            )


def _providers(problem: Problem) -> Iterator[tuple[str, str, float]]:
    """(distribution, version, likelihood) of what brings the missing module."""
    evidence, environment = problem.diagnosis.evidence, problem.environment
    module = str(evidence.get("module") or "")
    wanted = str(evidence.get("distribution") or module)
    if environment is None:
        return
    installed = environment.provides(module) if module else []
    ranked = sorted(installed, key=lambda each: (normal(each.name) != normal(wanted), each.name))
    for place, each in enumerate(ranked):
        yield each.name, each.version, 1 / (1 + place)
    if not installed and (version := environment.available.get(wanted)) is not None:
        yield wanted, version, 0.8


def _bounds(manifest: Manifest, version: str) -> Iterator[tuple[str, float]]:
    """A version bound as the manifest binds most of its others, then from below."""
    operator = manifest.operator
    if manifest.form == "table" and operator == "":
        operator = "^"
    yield bound(operator, version), 1.0
    if operator != ">=":
        yield bound(">=", version), 0.9


def _versions(
    problem: Problem, manifest: Manifest, stated: Stated
) -> Iterator[tuple[str, str, str, float]]:
    """(template, specifier, why, likelihood) of what may be required in its place."""
    environment = problem.environment or Environment()
    installed = environment.version(stated.name)
    demands = environment.demands(stated.name)
    good = read_manifest(manifest.path, problem.good_sources.get(manifest.path, ""))
    before = good.of(stated.name) if good else None
    if before is not None and installed and contains(before.specifier, installed):
        yield "as_before", before.specifier, "so did the good release", 1.0
    if installed and all(contains(each, installed) for _, each in demands):
        told = "and so do those that need it" if demands else "which the code runs with"
        for specifier, weight in _fitting(stated.specifier, installed):
            yield "installed", specifier, f"{installed} is installed, {told}", weight
    for asked, version in sorted(environment.available.items()):
        if normal(re.split(r"[^\w.-]", asked)[0]) == stated.name and version != installed:
            specifier = bound(manifest.operator or ">=", version)
            yield "offered", specifier, f"{version} goes together with the others", 0.7


def _fitting(specifier: str, version: str) -> Iterator[tuple[str, float]]:
    """Specifiers that a version fulfils: the clauses that exclude it give way, the others stay."""
    clauses = [each.strip() for each in specifier.split(",") if each.strip()]
    kept = [each for each in clauses if contains(each, version)]
    broken = [each for each in clauses if each not in kept]
    pinned = [each for each in broken if each.startswith(("==", "~="))]
    if pinned:
        operator = re.match(r"[=~]+", pinned[0])
        yield ",".join([*kept, f"{operator[0] if operator else '=='}{version}"]), 0.9
    if any(each.startswith((">", "==", "~=")) for each in broken):
        yield ",".join([f">={version}", *kept]), 0.8
    if any(each.startswith("<") for each in broken):
        major = version.partition(".")[0]
        ceiling = [f"<{int(major) + 1}"] if major.isdigit() else []
        yield ",".join([*kept, *ceiling]), 0.8


def _told(environment: Environment | None, name: str, version: str) -> str:
    there = environment is not None and environment.version(name) is not None
    return f"{version} is {'installed' if there else 'what the index offers'}"


def _edit(
    strategy: str,
    template: str,
    explanation: str,
    fit: float,
    splice: Splice,
    name: str,
    specifier: str,
) -> Edit:
    return Edit(
        strategy=strategy,
        template=template,
        explanation=explanation,
        fit=round(fit, 6),
        parameters={"distribution": normal(name), "specifier": specifier},
        splices=[splice],
    )


STRATEGIES = (
    Strategy(REQUIRE, KINDS, propose_require),
    Strategy(RENAME, KINDS, propose_rename),
    Strategy(CHANGE, KINDS, propose_change),
)
