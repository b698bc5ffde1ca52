"""A forge over a bare repository on disk.

Pull requests lie in the repository's folder::

    selfheal/pulls/<number>.json          the record
    selfheal/pulls/<number>.md            its text, for people
    selfheal/pulls/<number>.comment.md    how far it is

The checks that a branch requires are named in the repository's own git configuration, as
``branch.<name>.requiredCheck``. A record appears whole under a number that nobody else took, and changes atomically.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selfheal.artifacts.canonical import sha256_of
from selfheal.artifacts.locking import exclusive
from selfheal.artifacts.replacing import replace_text
from selfheal.codebase.git import git
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.forge import CheckState, Pull
from selfheal.delivery.workshop import Workshop, remote_head
from selfheal.errors import NotFound, RepositoryError


class LocalForge:
    """The forge in the bare repository `folder`. Raises RepositoryError where it is none."""

    def __init__(self, folder: Path) -> None:
        try:
            bare = git(folder, "rev-parse", "--is-bare-repository").stdout.strip() == "true"
        except (RepositoryError, OSError) as error:
            raise RepositoryError("the remote is no git repository.", where=str(folder)) from error
        if not bare:
            raise RepositoryError(
                "the remote is a repository with a work tree, which a push would leave behind.",
                where=str(folder),
                hint="Push to a bare repository (git init --bare).",
            )
        self.folder = folder
        self.pulls = folder / "selfheal" / "pulls"

    @property
    def remote(self) -> str:
        return str(self.folder)

    def head(self, branch: str) -> str | None:
        return remote_head(self.remote, branch)

    def find_pull(self, branch: str) -> Pull | None:
        return next((pull for pull in self.list_pulls("") if pull.branch == branch), None)

    def list_pulls(self, prefix: str) -> list[Pull]:
        records = [self._read(path) for path in self.pulls.glob("*.json")]
        ours = [pull for pull in records if pull.branch.startswith(prefix)]
        return sorted(ours, key=lambda pull: -pull.number)

    def open_pull(self, *, title: str, body: str, branch: str, base: str, head: str) -> Pull:
        self.pulls.mkdir(parents=True, exist_ok=True)
        with self._locked():
            taken = [int(path.stem) for path in self.pulls.glob("*.json")]
            number = max(taken, default=0) + 1
            # The text first: a record without its text must never be seen.
            replace_text(self.pulls / f"{number}.md", body)
            pull = Pull(
                number=number,
                title=title,
                branch=branch,
                base=base,
                head=head,
                url=f"selfheal/pulls/{number}.md",
                body_sha256=sha256_of(body.encode()),
                opened_at=datetime.now(UTC).isoformat(timespec="seconds"),
                fingerprint=Fingerprint.read(body),
            )
            return self._store(pull)

    def update_pull(self, number: int, *, title: str, body: str, head: str) -> Pull:
        with self._locked():
            replace_text(self.pulls / f"{number}.md", body)
            changes = {
                "title": title,
                "head": head,
                "body_sha256": sha256_of(body.encode()),
                "fingerprint": Fingerprint.read(body),
                # What was said of another commit says nothing of this one.
                "checks": {},
                "phases": {},
            }
            return self._store(self._pull(number).model_copy(update=changes))

    def set_check(self, number: int, name: str, state: CheckState) -> Pull:
        with self._locked():
            pull = self._pull(number)
            return self._store(pull.model_copy(update={"checks": {**pull.checks, name: state}}))

    def set_phase(self, number: int, phase: str, state: CheckState, description: str) -> Pull:
        with self._locked():
            pull = self._pull(number)
            told = {**pull.phases, phase: f"{state}: {description}"}
            return self._store(pull.model_copy(update={"phases": told}))

    def comment(self, number: int, text: str) -> None:
        replace_text(self.pulls / f"{number}.comment.md", text)

    def checks(self, pull: Pull) -> dict[str, CheckState]:
        return self._pull(pull.number).checks

    def required_checks(self, base: str) -> list[str]:
        named = git(self.folder, "config", "--get-all", f"branch.{base}.requiredCheck", check=False)
        return named.stdout.split()

    def merge(self, number: int, workshop: Workshop, commit: str) -> Pull:
        pull = self._pull(number)
        # A fast-forward push: the remote itself refuses it where the base moved on.
        workshop.push(self.remote, commit, pull.base)
        return self.mark_merged(number, commit)

    def mark_merged(self, number: int, commit: str) -> Pull:
        return self._update(number, state="merged", merge_commit=commit)

    def mark_reverted(self, number: int, commit: str | None, note: str) -> Pull:
        if commit is None:
            return self._update(number, note=note)
        return self._update(number, state="reverted", revert_commit=commit, note=note)

    def _update(self, number: int, **changes: Any) -> Pull:
        with self._locked():
            return self._store(self._pull(number).model_copy(update=changes))

    def _pull(self, number: int) -> Pull:
        path = self.pulls / f"{number}.json"
        if not path.exists():
            raise NotFound(f"there is no pull request {number}.", where=str(self.pulls))
        return self._read(path)

    @staticmethod
    def _read(path: Path) -> Pull:
        return Pull.model_validate_json(path.read_bytes())

    def _store(self, pull: Pull) -> Pull:
        replace_text(self.pulls / f"{pull.number}.json", pull.model_dump_json(indent=2) + "\n")
        return pull

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.pulls.mkdir(parents=True, exist_ok=True)
        with exclusive(self.pulls / ".lock"):
            yield
