"""A library as a git repository: innocent commits, the fault among them, half of the suite."""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.healing.faults import Fault
from benchmarks.healing.halves import visible_half
from benchmarks.healing.libraries import Library

INI = "[pytest]\npythonpath = {folder}\n"
SETTINGS = (".pytest.ini", "tox.ini", "setup.cfg", ".coveragerc")


@dataclass
class World:
    """A library without a fault: its code, the shown half of its tests and all of them.

    Paths are relative to the repository. The test files of `graded` are those of the
    distribution; `shown` are the same without the hidden half. A run of the suite may take
    `seconds`.
    """

    library: Library
    tree: Path
    seed: int
    code: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    graded: dict[str, str] = field(default_factory=dict)
    seconds: float = 240.0

    @classmethod
    def of(cls, library: Library, tree: Path, seed: int) -> World:
        world = cls(library, tree, seed)
        package = tree / library.package
        for path in sorted(package.rglob("*.py")) if package.is_dir() else [package]:
            name = path.relative_to(tree).as_posix()
            if not {"tests", "sandbox"} & set(path.parts) and not path.name.startswith("test"):
                world.code[name] = path.read_text()
        for path in sorted((tree / library.tests).rglob("test*.py")):
            name = path.relative_to(tree).as_posix()
            if path.name not in library.left_out:
                world.graded[name] = path.read_text()
                world.shown[name] = visible_half(name, world.graded[name], seed)
        return world

    def lay_out(self, folder: Path) -> None:
        """The tree without a fault, with the shown half of the tests."""
        shutil.copytree(self.tree, folder, ignore=shutil.ignore_patterns("*.egg-info", "*.pyc"))
        for name in SETTINGS:
            (folder / name).unlink(missing_ok=True)
        for name in self.library.left_out:
            for path in folder.rglob(name):
                path.unlink()
        (folder / "pytest.ini").write_text(INI.format(folder=self.library.source_folder))
        write(folder, self.shown)


def write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text)


def commit_history(world: World, fault: Fault, folder: Path, *, telling: bool) -> str:
    """The repository with the fault; the sha of its commit.

    With a `telling` history innocent changes of code in the same file and in others stand
    before it, with it and after it. Otherwise the fault was there from the first commit on.
    """
    drawn = random.Random(f"{world.seed}:{fault.name}:{fault.file}:{fault.line}")
    world.lay_out(folder)
    git(folder, "init", "-q", "-b", "main")
    if not telling:
        return commit(folder, "Import", {fault.file: fault.text})
    commit(folder, "Import")
    original = world.code[fault.file]
    decoys = _conditions(original, fault.text, drawn)[:4]
    other = drawn.choice(sorted(set(world.code) - {fault.file}) or [fault.file])
    if other != fault.file:
        conditions = _conditions(world.code[other], world.code[other], drawn)[:2]
        commit(folder, "Ask for truth", {other: _asked(world.code[other], conditions)})
    commit(folder, "Ask for truth again", {fault.file: _asked(original, decoys[:2])})
    sha = commit(folder, "Simplify", {fault.file: _asked(fault.text, decoys[:3])})
    commit(folder, "Ask for more truth", {fault.file: _asked(fault.text, decoys)})
    return sha


def _conditions(one: str, two: str, drawn: random.Random) -> list[tuple[str, str]]:
    """Lines ``if x:`` that stand once in both texts, with ``if bool(x):``, in a drawn order."""
    lines = one.split("\n")
    found = []
    for node in ast.walk(ast.parse(one)):
        line = lines[node.lineno - 1] if isinstance(node, ast.If) else ""
        match = re.fullmatch(r"( +)if (.+):", line)
        if match and one.count(f"\n{line}\n") == two.count(f"\n{line}\n") == 1:
            found.append((line, f"{match[1]}if bool({match[2]}):"))
    return drawn.sample(found, len(found))


def _asked(text: str, conditions: Sequence[tuple[str, str]]) -> str:
    for old, new in conditions:
        text = text.replace(f"\n{old}\n", f"\n{new}\n")
    return text


def commit(folder: Path, message: str, texts: dict[str, str] | None = None) -> str:
    write(folder, texts or {})
    git(folder, "add", "-A", "--force")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Author", "-c", "user.email=author@example.org"]
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    )
    return done.stdout
