"""Isolated checkouts that leave the repository under repair untouched.

A work tree here is a repository of its own whose objects are borrowed from the
original by ``objects/info/alternates`` (gitrepository-layout(5)): the original's index,
work tree, branches, configuration and hooks are neither read nor written. No hook,
filter, fsmonitor or remote protocol of anyone's configuration runs.

Its git data lies beside the checkout, named on every call: code that runs in the checkout
cannot write a configuration that a later git command outside of the sandbox would obey.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from selfheal.codebase.git import git
from selfheal.errors import RepositoryError
from selfheal.sandbox.surroundings import git_folder


class Worktree:
    """A checkout of one revision in a folder of its own; removed at the end unless `keep`.

    A context manager, and a path (``os.PathLike``). `folder` must not exist or be
    empty. Raises RepositoryError if `repository` is none or the revision is unknown.
    """

    def __init__(
        self, repository: Path, revision: str, folder: Path, *, keep: bool = False
    ) -> None:
        self.repository = repository
        self.revision = revision
        self.path = folder.absolute()
        self.keep = keep
        self.commit_id = ""

    def __enter__(self) -> Self:
        self.create()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.keep:
            self.remove()

    def __fspath__(self) -> str:
        return str(self.path)

    def create(self) -> None:
        """Check the revision out, HEAD detached."""
        if not self.repository.is_dir():
            raise RepositoryError("there is no such folder.", where=str(self.repository))
        self.commit_id = resolve(self.repository, self.revision)
        objects = self._source("objects")
        self.path.mkdir(parents=True, exist_ok=True)
        if any(self.path.iterdir()):
            raise RepositoryError("the folder for a work tree is not empty.", where=str(self.path))
        own = git_folder(self.path)
        shutil.rmtree(own, ignore_errors=True)
        try:
            git(self.path, "init", "--quiet", "--template=", f"--separate-git-dir={own}")
            (own / "objects" / "info").mkdir(parents=True, exist_ok=True)
            (own / "objects" / "info" / "alternates").write_text(f"{objects}\n")
            shallow = self._source("shallow")
            if shallow.is_file():
                shutil.copyfile(shallow, own / "shallow")
            self.git("checkout", "--quiet", "--detach", self.commit_id)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Delete the folder, read-only files too, and its git data."""
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(git_folder(self.path), ignore_errors=True)

    def git(self, *arguments: str, input: str | bytes | None = None) -> str:
        """The output of a git command here. Raises RepositoryError."""
        return self._git(*arguments, input=input).stdout

    def refusal(self, patch: str, *, only: Sequence[str] = ()) -> str | None:
        """Why git would not apply the patch here, None if it would."""
        arguments = ["apply", "--check", "--whitespace=nowarn", *_included(only), "-"]
        done = self._git(*arguments, input=patch, check=False)
        return None if done.returncode == 0 else (done.stderr or done.stdout).strip()

    def apply(self, patch: str, *, only: Sequence[str] = ()) -> None:
        """Apply a unified diff to the files and the index; `only` keeps it to these paths.

        Raises RepositoryError with git's reason, and then changes nothing.
        """
        arguments = ["apply", "--index", "--whitespace=nowarn", *_included(only), "-"]
        self.git(*arguments, input=patch)

    def restore(self, paths: Sequence[str]) -> None:
        """Bring files back to what they are in the revision checked out."""
        if paths:
            literally = [f":(literal){path}" for path in paths]
            self.git("checkout", "--quiet", self.commit_id, "--", *literally)

    def commit(
        self, message: str, *, date: str, name: str = "selfheal", email: str = "selfheal@localhost"
    ) -> str:
        """Commit all changes on HEAD; equal content, date and author give an equal id."""
        self.git("add", "--all")
        identity = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", name), ("EMAIL", email), ("DATE", date))
        }
        arguments = ("commit", "--quiet", "--no-verify", "--allow-empty", "--file=-")
        self._git(*arguments, input=message, environment=identity)
        return self.git("rev-parse", "HEAD").strip()

    def diff(self, base: str | None = None) -> str:
        """What differs from `base` (by default the revision checked out), as a unified diff.

        Untracked files count once they are added; `apply` and `commit` add them.
        """
        return self.git(
            "diff", "--no-color", "--no-ext-diff", "--no-textconv", base or self.commit_id
        )

    def _git(
        self,
        *arguments: str,
        input: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        places = {"GIT_DIR": str(git_folder(self.path)), "GIT_WORK_TREE": str(self.path)}
        given = places | dict(environment or {})
        return git(self.path, *arguments, input=input, environment=given, check=check)

    def _source(self, name: str) -> Path:
        found = git(self.repository, "rev-parse", "--git-path", name).stdout.strip()
        return (self.repository / found).resolve()


def resolve(repository: Path, revision: str) -> str:
    """The full id of a commit. Raises RepositoryError for what is none."""
    if revision.startswith("-"):
        raise RepositoryError(f"{revision!r} is no revision.", where=str(repository))
    done = git(
        repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False
    )
    if done.returncode == 0:
        return done.stdout.strip()
    if git(repository, "rev-parse", "--git-dir", check=False).returncode != 0:
        raise RepositoryError("this is not a git repository.", where=str(repository))
    raise RepositoryError(f"there is no commit {revision!r}.", where=str(repository))


def _included(paths: Sequence[str]) -> list[str]:
    escaped = ["".join(f"\\{c}" if c in "*?[]\\" else c for c in path) for path in paths]
    return [f"--include={path}" for path in escaped]
