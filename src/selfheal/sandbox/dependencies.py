"""Repairs of what a project requires: the facts that they need, and their proof.

The proof asks an environment of exactly what a manifest requires: what is installed (or what
the index client puts into a folder for the purpose), without the modules of all other
distributions. There the code's own imports of the library are executed, before the change
and after it; and the requirement has to fit the version that is there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfheal.analysis.moved_names import gone_name
from selfheal.artifacts import Anomaly, Candidate
from selfheal.artifacts.validation import Check, CheckVerdict
from selfheal.codebase.requirements import is_manifest
from selfheal.config import TestsConfig
from selfheal.repair import Problem
from selfheal.repair.candidates import REVERTS
from selfheal.repair.environment import Environment, contains
from selfheal.repair.imports import import_statements
from selfheal.repair.index_client import install, resolve
from selfheal.repair.manifest import Manifest, normal, read_manifest, texts_of
from selfheal.repair.problem import is_test
from selfheal.repair.strategies.dependency import AUXILIARY, manifests
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.checks import listed
from selfheal.sandbox.environment import read_environment, try_imports
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.worktree import Worktree

IMPORT_ERRORS = ("ImportError", "ModuleNotFoundError", "AttributeError")


def equipped(problem: Problem, folder: Path, tests: TestsConfig, *, ask_index: bool) -> Problem:
    """The problem with its environment; the index client is asked for what is not installed.

    `folder` is where the interpreter of the tests is started.
    """
    gone = gone_name(problem.message)
    environment = read_environment(folder, tests, gone=[gone] if gone else ())
    if environment.unavailable is None:
        environment = _offered(problem, environment, ask_index=ask_index)
    return problem.model_copy(update={"environment": environment})


def _offered(problem: Problem, environment: Environment, *, ask_index: bool) -> Environment:
    evidence = problem.diagnosis.evidence
    name = str(evidence.get("distribution") or "")
    module = str(evidence.get("module") or "")
    version = environment.version(name)
    contradicted = [who for who, each in environment.demands(name) if not contains(each, version or "")]  # fmt: skip
    if (module and environment.provides(module)) or (version and not contradicted) or not name:
        return environment
    if module.partition(".")[0] in sys.stdlib_module_names:
        return environment  # It comes with Python; an index has nothing to offer.
    if not ask_index:
        note = f"{name} is not installed, and fix.index keeps the index from being asked"
        return environment.model_copy(update={"notes": [note]})
    manifest = next((each for each, _ in manifests(problem)), None)
    others = [each.text for each in manifest.stated if each.name != name] if manifest else []
    python = environment.markers.get("python_version", "3")
    found = resolve([name, *others], python)
    if isinstance(found, str) and others:
        found = resolve([name], python)
    if isinstance(found, str):
        note = f"{name} is not installed, and the index client says: {found}"
        return environment.model_copy(update={"notes": [note]})
    return environment.model_copy(update={"available": {name: found[name]}})


@dataclass(frozen=True)
class _State:
    """What is wrong with a library in a tree: imports that fail, versions that do not fit."""

    faults: list[str]
    asked: int
    unavailable: str | None = None


def prove_dependency(
    bench: Bench,
    subject: Subject,
    candidate: Candidate,
    anomalies: Mapping[str, Anomaly],
    *,
    folder: Path,
) -> list[Check]:
    """The checks ``detector`` and ``speed`` of a candidate about a library.

    The trouble has to show without the candidate and be gone with it. Of a candidate that
    changes code alone, imports are tried with all that is installed.
    """
    evidence = [anomalies[name].evidence for name in subject.anomaly_ids]
    module = next((str(each["package"]) for each in evidence if each.get("package")), "")
    name = next((str(each["name"]) for each in evidence if each.get("name")), "")
    name = str(candidate.edit.get("parameters", {}).get("distribution") or name)
    changed = [path for path in candidate.files if is_manifest(path)]
    question = _Question(bench, module, name, changed, folder)
    before = question.ask(candidate.base_commit, None)
    if not changed and not before.faults and not before.unavailable:
        # Code that asks for what no manifest names works where it happens to be installed.
        question.manifests = _required(bench, candidate.base_commit)
        before = question.ask(candidate.base_commit, None)
    after = question.ask(candidate.base_commit, candidate.patch)
    why = "no running code is changed" if changed else "only imports are changed"
    speed = Check(name="speed", verdict="unavailable", summary=why, required=False)
    taken_back = candidate.strategy in REVERTS
    return [_judged(before, after, question, taken_back=taken_back), speed]


def _judged(before: _State, after: _State, question: _Question, *, taken_back: bool) -> Check:
    verdict: CheckVerdict = "passed"
    counts = {"asked": after.asked, "before": len(before.faults), "after": len(after.faults)}
    where = f"in an environment of what {listed(question.manifests)} requires" if question.manifests else "with what is installed"  # fmt: skip
    if before.unavailable or after.unavailable:
        verdict, why = "unavailable", before.unavailable or after.unavailable or ""
    elif not before.faults:
        verdict, why = "unavailable", f"the trouble does not show {where}"
    elif after.faults:
        verdict, why = "failed", f"{where}, with it: {listed(after.faults)}"
    elif not after.asked and not taken_back:
        verdict, why = "failed", "nothing uses the library any more"
    else:
        why = f"{where}, without it: {listed(before.faults)}; with it none of this"
    return Check(name="detector", verdict=verdict, summary=why, counts=counts)


@dataclass
class _Question:
    """How a library fares in a tree; `manifests` limit what is there, none of them does not."""

    bench: Bench
    module: str
    name: str
    manifests: Sequence[str]
    folder: Path
    _installed: Environment | None = None

    def ask(self, commit: str, patch: str | None) -> _State:
        with self.bench.checkout(commit, patch) as worktree:
            if self._installed is None:
                self._installed = read_environment(worktree.path, self.bench.tests)
            environment = self._installed
            if environment.unavailable:
                return _State([], 0, environment.unavailable)
            added = self._added(worktree, environment, with_patch=patch is not None)
            if isinstance(added, str):
                return _State([], 0, added)
            if added:
                environment = read_environment(worktree.path, self.bench.tests, added=added)
            return self._state(worktree, environment, added)

    def _added(
        self, worktree: Worktree, environment: Environment, *, with_patch: bool
    ) -> list[Path] | str:
        """A folder with the distribution as the change requires it, where that is not installed."""
        stated = [found for each in self._read(worktree) if (found := each.of(self.name))]
        if not with_patch or not stated or environment.allows(self.name, stated[0].specifier):
            return []
        target = self.folder / "added"
        target.mkdir(parents=True, exist_ok=True)
        failed = install([stated[0].text], target, environment.markers["python_version"])
        if failed:
            return f"{stated[0].text} is not installed, and cannot be for a trial: {failed}"
        return [target]

    def _state(self, worktree: Worktree, environment: Environment, added: Sequence[Path]) -> _State:
        read = self._read(worktree)
        only = sorted(environment.closure(texts_of(read))) if read else None
        provided = environment.installed.get(self.name)
        modules = [self.module] if self.module else provided.modules if provided else []
        statements = import_statements(_sources(worktree), modules)
        outcomes = try_imports(worktree.path, self.bench.tests, statements, only=only, added=added)
        if isinstance(outcomes, str):
            return _State([], 0, outcomes)
        faults = [
            f"`{statement.splitlines()[-1]}` fails ({outcome[0]})"
            for statement, outcome in zip(statements, outcomes, strict=True)
            if outcome is not None and outcome[0] in IMPORT_ERRORS
        ]
        misfits = [text for each in read for text in self._misfits(each, environment)]
        version = environment.version(self.name) or ""
        misfits += [
            f"{who} requires {self.name}{specifier}, and {version} is there"
            for who, specifier in environment.demands(self.name)
            if version
            and (only is None or normal(who) in only)
            and not contains(specifier, version)
        ]
        return _State([*misfits, *faults], len(statements) + len(read))

    def _misfits(self, manifest: Manifest, environment: Environment) -> list[str]:
        """Where the version that is there is not the one required, by the manifest or by others."""
        stated, version = manifest.of(self.name), environment.version(self.name)
        if stated is None:
            return []
        if version is None:
            return [f"{manifest.path} requires {stated.text}, which is not installed"]
        found = []
        if manifest.form != "table" and not contains(stated.specifier, version):
            found.append(f"{manifest.path} requires {stated.text}, and {version} is there")
        return found

    def _read(self, worktree: Worktree) -> list[Manifest]:
        texts = {path: worktree.path / path for path in self.manifests}
        found = [
            read_manifest(path, file.read_bytes().decode("utf-8", "replace"))
            for path, file in texts.items()
            if file.is_file() and not file.is_symlink()
        ]
        return [each for each in found if each is not None]


def _required(bench: Bench, commit: str) -> list[str]:
    """The manifests of what production has."""
    with bench.checkout(commit) as worktree:
        files = sorted(filter(None, worktree.git("ls-files", "-z").split("\0")))
    return [
        path
        for path in files
        if is_manifest(path) and not is_test(path) and not AUXILIARY.search(path)
    ]


def _sources(worktree: Worktree) -> dict[str, str]:
    """The project's own Python files, tests left out."""
    listed_files = worktree.git("ls-files", "-z", "--", "*.py").split("\0")
    return {
        path: file.read_bytes().decode("utf-8", "replace")
        for path in sorted(filter(None, listed_files))
        if not is_test(path) and (file := worktree.path / path).is_file() and not file.is_symlink()
    }
