"""Recalling a pattern: every change built from it, and the commits that would take them back.

Nothing of the user's work tree, branches or index is touched: reverts are built in a
scratch repository, on top of the base branch as it is now, newest change first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from selfheal.artifacts import Pattern, Patterns
from selfheal.artifacts.canonical import sha256_of
from selfheal.artifacts.model import Model
from selfheal.artifacts.patterns import Provenance, Retirement
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.forge import Forge, Pull
from selfheal.delivery.shipping import REVERTS
from selfheal.delivery.workshop import Conflict, Workshop
from selfheal.errors import InvalidInput

Standing = Literal[
    "in the code", "taken back", "not on the base", "conflict", "not shipped", "not here"
]


class Recalled(Model):
    """One use of the pattern and where its change is now; `note` says more of it."""

    run_id: str
    candidate_id: str
    operation: str
    outcome: str
    commit: str | None
    pull_request: int | None
    standing: Standing
    note: str = ""


class Recall(Model):
    """`tip` is the commit of the base that was looked at, `reverts` the prepared commits on it.

    `patch` is what they change together, empty where nothing is left to take back.
    """

    pattern_id: str
    name: str
    tip: str
    uses: list[Recalled]
    reverts: list[str] = Field(default_factory=list)
    patch: str = ""


def pattern_named(library: Patterns, name: str) -> Pattern:
    """The pattern with this id, or the only one whose id begins so. Raises InvalidInput."""
    found = [each for each in library.patterns if each.id.startswith(name)]
    exact = [each for each in found if each.id == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    trouble = "there is no pattern" if not found else f"{len(found)} patterns begin with"
    raise InvalidInput(f"{trouble} {name!r}.", hint="List them with selfheal patterns list.")


def recalled(pattern: Pattern, workshop: Workshop, tip: str) -> Recall:
    """Every use of a pattern with what became of its change, and the reverts of those left."""
    head, uses, reverts = tip, [], []
    for entry in sorted(pattern.provenance, key=lambda each: each.run_id, reverse=True):
        standing, note, made = _standing(pattern, entry, workshop, head, tip)
        if made is not None:
            head = made
            reverts.append(made)
        uses.append(
            Recalled(
                run_id=entry.run_id,
                candidate_id=entry.candidate_id,
                operation=entry.operation,
                outcome=entry.outcome,
                commit=entry.commit,
                pull_request=entry.pull_request,
                standing=standing,
                note=note,
            )
        )
    patch = workshop.diff(tip, head) if reverts else ""
    return Recall(
        pattern_id=pattern.id, name=pattern.name, tip=tip, uses=uses, reverts=reverts, patch=patch
    )


def _standing(
    pattern: Pattern, entry: Provenance, workshop: Workshop, head: str, tip: str
) -> tuple[Standing, str, str | None]:
    """Where a use's change is, a note, and the commit that takes it back on top of `head`."""
    if entry.commit is None:
        return "not shipped", f"its candidate ended as {entry.outcome}", None
    if pattern.origin is not None:
        return "not here", f"shipped in {pattern.origin}", None
    commit = workshop.resolve(entry.commit)
    if commit is None:
        return "not here", "this clone does not have the commit: git fetch, then ask again", None
    if not workshop.is_ancestor(commit, tip):
        return "not on the base", "", None
    message = (
        f"Take back {entry.candidate_id}\n\nPattern {pattern.id} ({pattern.name}) is recalled; "
        f"this takes back commit {commit}\nof run {entry.run_id}.\n\n{REVERTS}: {commit}\n"
    )
    made = workshop.revert(commit, head, message)
    if isinstance(made, Conflict):
        return "conflict", f"the revert meets later commits: {made.reason}", None
    if not workshop.diff(head, made):
        return "taken back", "", None
    return "in the code", "", made


def propose_recall(
    recall: Recall, forge: Forge, workshop: Workshop, *, base: str, prefix: str
) -> Pull:
    """Push the reverts to a branch of their own and open a pull request, or find the open one.

    The pull request carries a fingerprint, so that asking again opens no second one.
    Raises PushRefused where the remote does not take the branch.
    """
    branch = f"{prefix}recall-{recall.pattern_id.removeprefix('pattern-')}"
    head = recall.reverts[-1]
    present = workshop.fetch(forge.remote, branch)
    if present != head:
        workshop.push(forge.remote, head, branch, replaces=present)
    title, body = f"Take back what pattern {recall.pattern_id} changed", _body(recall)
    pull = forge.find_pull(branch)
    if pull is not None and pull.state == "open":
        return forge.update_pull(pull.number, title=title, body=body, head=head)
    return forge.open_pull(title=title, body=body, branch=branch, base=base, head=head)


def _body(recall: Recall) -> str:
    lines = [
        f"Pattern `{recall.pattern_id}` ({recall.name}) is recalled. These changes were built "
        "from it:",
        "",
        "| run | candidate | operation | outcome | commit | now |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {use.run_id} | {use.candidate_id} | {use.operation} | {use.outcome} | "
        f"{(use.commit or '-')[:12]} | {use.standing}{': ' + use.note if use.note else ''} |"
        for use in recall.uses
    ]
    mark = Fingerprint(
        causes=[f"recall-{recall.pattern_id}"],
        change=sha256_of(recall.patch.encode("utf-8", "surrogateescape")),
    )
    lines += [
        "",
        f"The {len(recall.reverts)} commits here take back those that are still in the code. "
        "Nothing was tested: run the suite before merging.",
        "",
        mark.comment(),
    ]
    return "\n".join(lines) + "\n"


def retired_by(name: str, by: str, reason: str) -> Callable[[Patterns], Patterns]:
    """The change of a library by which a person takes a pattern out of service."""

    def change(library: Patterns) -> Patterns:
        return _replaced(
            library, pattern_named(library, name), retired=Retirement(by=by, reason=reason)
        )

    return change


def reinstated(name: str) -> Callable[[Patterns], Patterns]:
    """The change of a library that takes a pattern back into service; its past is pardoned."""

    def change(library: Patterns) -> Patterns:
        pattern = pattern_named(library, name)
        runs = sorted({*pattern.pardoned, *(entry.run_id for entry in pattern.provenance)})
        return _replaced(library, pattern, retired=None, pardoned=runs)

    return change


def _replaced(library: Patterns, pattern: Pattern, **fields: object) -> Patterns:
    changed = [
        each.model_copy(update=fields) if each.id == pattern.id else each
        for each in library.patterns
    ]
    return library.model_copy(update={"patterns": changed})
