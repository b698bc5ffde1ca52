"""Lets git judge each diff against its base commit, and stores those that apply."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Candidate, Patch
from selfheal.artifacts.patch import Dropped
from selfheal.codebase.git import git
from selfheal.contract import Workspace, handler
from selfheal.errors import RepositoryError
from selfheal.sandbox.changes import role_of
from selfheal_handlers.fix._examples import cycle
from selfheal_handlers.fix._results import Proposals


def example(folder: Path) -> Mapping[str, Any]:
    return cycle(folder).storing


@handler("store_patch", kind="stage-crew", version="3", writes="patch", example=example)
def store_patch(validate_syntax: Proposals, workspace: Workspace) -> Patch:
    if workspace.repository is None:
        raise RepositoryError("no repository is given.", hint="Name one with --repo.")
    kept: list[Candidate] = []
    dropped = list(validate_syntax.dropped)
    for candidate in validate_syntax.candidates:
        refusal = _refusal(candidate, workspace.repository, workspace.folder)
        if refusal is None:
            path = f"patches/{candidate.id}.patch"
            workspace.write(path, candidate.patch.encode("utf-8", "surrogateescape"))
            kept.append(candidate)
        else:
            dropped.append(
                Dropped(
                    diagnosis_id=candidate.diagnosis_id,
                    strategy=candidate.strategy,
                    reason=f"git does not apply it: {refusal}",
                )
            )
    return Patch(
        candidates=_ranked(kept),
        reproducers=validate_syntax.reproducers,
        dropped=dropped,
        searches=validate_syntax.searches,
        documentation="included" if _documented(kept) else "none",
    )


def _refusal(candidate: Candidate, repository: Path, folder: Path) -> str | None:
    """Why `git apply --check` refuses the diff on its base commit's tree, None if it takes it.

    The tree is read into an index of our own; the repository's index is not touched.
    """
    index = {"GIT_INDEX_FILE": str((folder / f"{candidate.base_commit}.index").absolute())}
    if not Path(index["GIT_INDEX_FILE"]).exists():
        git(repository, "read-tree", candidate.base_commit, environment=index)
    arguments = ("apply", "--check", "--cached", "--whitespace=nowarn", "-")
    done = git(repository, *arguments, input=candidate.patch, environment=index, check=False)
    if done.returncode == 0:
        return None
    unread = "a file in it is not UTF-8, and such files are not edited\n"
    told = unread if "\N{REPLACEMENT CHARACTER}" in candidate.patch else ""
    return told + (done.stderr.strip() or "no reason given")


def _documented(kept: list[Candidate]) -> bool:
    """Whether every candidate brings a documentation entry."""
    return bool(kept) and all(
        any(role_of(path) == "documentation" for path in candidate.files) for candidate in kept
    )


def _ranked(kept: list[Candidate]) -> list[Candidate]:
    """Ranks without gaps."""
    counts: dict[str, int] = {}
    ranked = []
    for candidate in kept:
        counts[candidate.diagnosis_id] = counts.get(candidate.diagnosis_id, 0) + 1
        ranked.append(candidate.model_copy(update={"rank": counts[candidate.diagnosis_id]}))
    return ranked
