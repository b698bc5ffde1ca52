"""What a patch changes, as texts before and after, with the part that each file plays."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from selfheal.artifacts import Model
from selfheal.codebase.requirements import is_manifest
from selfheal.repair.diff import lines_of, opcodes
from selfheal.sandbox.worktree import Worktree

Role = Literal["code", "test", "documentation"]

DOCUMENTATION = {".md", ".rst", ".txt", ".adoc"}


class ChangedFile(Model):
    """One file of a patch; None is a file that does not exist. Undecodable bytes are replaced."""

    path: str
    role: Role
    before: str | None
    after: str | None

    @property
    def added_lines(self) -> list[int]:
        """Numbers, in the file after the patch, of the lines that the patch added or changed."""
        old, new = lines_of(self.before or ""), lines_of(self.after or "")
        return [
            line + 1
            for tag, _, _, first, last in opcodes(old, new)
            if tag != "equal"
            for line in range(first, last)
        ]


def changed_files(worktree: Worktree) -> list[ChangedFile]:
    """What the index of a work tree differs in from its commit, by path."""
    listed = worktree.git(
        "diff", "--cached", "--no-renames", "--name-only", "-z", worktree.commit_id
    )
    return [
        ChangedFile(
            path=path,
            role=role_of(path),
            before=_committed(worktree, path),
            after=_now(worktree, path),
        )
        for path in sorted(filter(None, listed.split("\0")))
    ]


def role_of(path: str) -> Role:
    """A file's part by the conventions of pytest and of documentation."""
    place = PurePosixPath(path)
    if is_manifest(path):
        return "code"
    is_test = place.name.startswith("test_") or place.stem.endswith("_test")
    if place.suffix == ".py" and (is_test or place.name == "conftest.py"):
        return "test"
    return "documentation" if place.suffix.lower() in DOCUMENTATION else "code"


def _committed(worktree: Worktree, path: str) -> str | None:
    if not worktree.git("ls-tree", "--name-only", "-z", worktree.commit_id, "--", path):
        return None
    return _readable(worktree.git("show", f"{worktree.commit_id}:{path}"))


def _now(worktree: Worktree, path: str) -> str | None:
    file = worktree.path / path
    if file.is_symlink() or not file.is_file():
        return None
    return file.read_bytes().decode("utf-8", "replace")


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
