"""The fixes of a repository's own history: which commits they are, and what they changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from selfheal.artifacts.patterns import EditTemplate
from selfheal.codebase.history import History
from selfheal.codebase.index import is_vendored
from selfheal.repair.problem import is_test
from selfheal.repair.templates import Change, changes_between, template_of

MOST_FILES = 8
MOST_CHANGES = 12
CONTEXTS = (0, 1)
_FIX = re.compile(
    r"\b(fix(e[sd]|ing)?|bug(s|fix(es)?)?|hotfix|defect|fault|crash(e[sd])?|regression|"
    r"wrong(ly)?|incorrect(ly)?|broken|mend(s|ed)?|repair(s|ed)?|typo)\b|"
    r"\b(close[sd]?|resolve[sd]?)\s+#\d+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FixedFile:
    """One file of a fix: its text before, and every change with its template.

    A change is there once for each width of context; those that would fit anything have
    no template.
    """

    path: str
    before: str
    changes: list[tuple[Change, EditTemplate | None]]


@dataclass(frozen=True)
class Fix:
    """A commit that says that it fixes something."""

    sha: str
    summary: str
    files: list[FixedFile]


def fix_commits(
    history: History,
    until: str,
    *,
    since: str | None = None,
    most: int = 2000,
    vendored: Sequence[str] = (),
) -> list[Fix]:
    """The fixes among the last `most` commits, oldest first.

    A fix says so in its first line or closes an issue, is no merge and no revert, changes
    at the most `MOST_FILES` Python files outside of tests and vendored folders, and at the
    most `MOST_CHANGES` places. Commits of ``.git-blame-ignore-revs`` are none. Raises
    RepositoryError where a revision is not known.
    """
    head = history.resolve(until)
    span = f"{history.resolve(since)}..{head}" if since else head
    ignored = set(history.ignored_revisions(head))
    said = [
        (sha, message.splitlines()[0])
        for sha, message in history.messages(span, most)
        if message and sha not in ignored and is_fix(message)
    ]
    found = (_fix(history, sha, summary, vendored) for sha, summary in reversed(said))
    return [fix for fix in found if fix is not None]


def is_fix(message: str) -> bool:
    """Whether a commit's message says that it fixes something."""
    first = message.splitlines()[0]
    if first.lower().startswith("revert"):
        return False
    closing = re.search(r"(?im)^\s*(fix(e[sd])?|close[sd]?|resolve[sd]?):?\s+#\d+", message)
    return bool(_FIX.search(first) or closing)


def _fix(history: History, sha: str, summary: str, vendored: Sequence[str]) -> Fix | None:
    paths = [
        path
        for path in history.changed_files(sha)
        if path.endswith(".py") and not is_test(path) and not is_vendored(path, vendored)
    ]
    if not 0 < len(paths) <= MOST_FILES:
        return None
    texts = history.texts([f"{side}:{path}" for path in paths for side in (f"{sha}^", sha)])
    files = [
        FixedFile(path, before, list(_changes(before, after)))
        for path, before, after in zip(paths, texts[::2], texts[1::2], strict=True)
        if before is not None and after is not None
    ]
    files = [file for file in files if file.changes]
    places = {(file.path, change.line) for file in files for change, _ in file.changes}
    return Fix(sha, summary, files) if 0 < len(places) <= MOST_CHANGES else None


def _changes(before: str, after: str) -> Iterator[tuple[Change, EditTemplate | None]]:
    for context in CONTEXTS:
        try:
            found = changes_between(before, after, context=context)
        except (SyntaxError, ValueError, RecursionError):
            return
        for change in found:
            yield change, template_of(change)
