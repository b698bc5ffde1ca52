"""Building commits without a work tree: a scratch repository and git's plumbing.

The scratch repository borrows the objects of the repository under repair (git's
alternates), so nothing of the user's own index, work tree, branches or refs is
touched. Equal trees, parents, identities, dates and messages give equal commit ids.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfheal.codebase.git import git
from selfheal.errors import PushRefused, RepositoryError

_TRAILER = re.compile(r"[A-Za-z][A-Za-z-]*: \S")


@dataclass(frozen=True)
class Identity:
    """Who commits, and when (ISO 8601 with an offset).

    `sign_off` adds the Signed-off-by line of the Developer Certificate of Origin.
    """

    name: str
    email: str
    date: str
    sign_off: bool = False

    def signed(self, message: str) -> str:
        """The message of a commit, signed off where that is asked for."""
        line = f"Signed-off-by: {self.name} <{self.email}>"
        if not self.sign_off or line in message.splitlines():
            return message
        text = message.rstrip("\n")
        ends_in_trailer = _TRAILER.match(text.rpartition("\n")[2]) and "\n\n" in text
        return f"{text}\n{'' if ends_in_trailer else chr(10)}{line}\n"


@dataclass(frozen=True)
class Conflict:
    """Two changes that do not go together, and the files where they meet."""

    files: tuple[str, ...]

    @property
    def reason(self) -> str:
        return f"conflict in {', '.join(self.files) or 'unnamed files'}"


class Workshop:
    """A scratch repository at `folder` (made anew) over the objects of `repository`.

    `access` is what git's environment needs beside that to reach the remote.
    """

    def __init__(
        self,
        folder: Path,
        repository: Path,
        identity: Identity,
        access: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.identity = identity
        self.access = dict(access or {})
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        git(self.folder.parent, "init", "--bare", "--quiet", "--template=", str(self.folder))
        common = git(repository, "rev-parse", "--git-common-dir").stdout.strip()
        shared = (repository / common).resolve()
        alternates = self.folder / "objects" / "info" / "alternates"
        alternates.parent.mkdir(parents=True, exist_ok=True)
        alternates.write_text(f"{shared / 'objects'}\n")
        if (shared / "shallow").exists():
            shutil.copyfile(shared / "shallow", self.folder / "shallow")

    def git(self, *arguments: str, stdin: str | None = None, index: Path | None = None) -> str:
        """Run git here and return its output. Raises RepositoryError with git's own words."""
        environment = {
            "GIT_AUTHOR_NAME": self.identity.name,
            "GIT_AUTHOR_EMAIL": self.identity.email,
            "GIT_AUTHOR_DATE": self.identity.date,
            "GIT_COMMITTER_NAME": self.identity.name,
            "GIT_COMMITTER_EMAIL": self.identity.email,
            "GIT_COMMITTER_DATE": self.identity.date,
        }
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        return git(self.folder, *arguments, input=stdin, environment=environment).stdout

    def resolve(self, revision: str) -> str | None:
        """The full id of a commit, None where there is none of that name."""
        try:
            return self.git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            ).strip()
        except RepositoryError:
            return None

    def fetch(self, remote: str, branch: str) -> str | None:
        """Fetch a branch; its head, None where the remote has no such branch."""
        if remote_head(remote, branch, self.access) is None:
            return None
        local = f"refs/remotes/{branch}"
        place = f"+refs/heads/{branch}:{local}"
        git(
            self.folder,
            *("fetch", "--quiet", "--no-tags", remote, place),
            environment=self.access,
        )
        return self.resolve(local)

    def is_ancestor(self, earlier: str, later: str) -> bool:
        """Whether `earlier` is `later` or lies in its history."""
        try:
            self.git("merge-base", "--is-ancestor", earlier, later)
        except RepositoryError:
            return False
        return True

    def tree_with(self, patch: str, on: str) -> str | Conflict:
        """The tree that a unified diff makes of the commit `on`."""
        index = self.folder / "selfheal-index"
        index.unlink(missing_ok=True)
        self.git("read-tree", on, index=index)
        try:
            self.git("apply", "--cached", "-", stdin=patch, index=index)
        except RepositoryError:
            return Conflict(self._files_of(patch))
        return self.git("write-tree", index=index).strip()

    def commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        """Make a commit object and return its id."""
        flags = [argument for parent in parents for argument in ("-p", parent)]
        text = self.identity.signed(message)
        return self.git("commit-tree", tree, *flags, "-F", "-", stdin=text).strip()

    def merge(self, ours: str, theirs: str, message: str) -> str | Conflict:
        """A merge commit of two commits, never a fast-forward."""
        tree = self._merged_tree(ours, theirs)
        if isinstance(tree, Conflict):
            return tree
        return self.commit(tree, [ours, theirs], message)

    def transplant(self, change: str, parent: str, onto: str) -> str | Conflict:
        """The tree of `onto` with what the tree `change` changed about the commit `parent`.

        A three-way merge whose common ancestor is `parent`, as in git cherry-pick: three
        commits that share no other history see to it that git takes just that one.
        """
        ancestor = self.commit(f"{parent}^{{tree}}", [], "ancestor")
        ours = self.commit(f"{onto}^{{tree}}", [ancestor], "ours")
        return self._merged_tree(ours, self.commit(change, [ancestor], "change"))

    def revert(self, merge: str, on: str, message: str) -> str | Conflict:
        """A commit on top of `on` that takes back a merge, against its first parent."""
        before = self.git("rev-parse", f"{merge}^1^{{tree}}").strip()
        tree = self.transplant(before, merge, on)
        if isinstance(tree, Conflict):
            return tree
        return self.commit(tree, [on], message)

    def push(self, remote: str, commit: str, branch: str, *, replaces: str | None = None) -> None:
        """Push a commit to a branch, fast-forward only. Raises PushRefused.

        With `replaces` the branch is moved to it from there, and only from there.
        """
        name = f"refs/heads/{branch}"
        lease = [f"--force-with-lease={name}:{replaces}"] if replaces else []
        try:
            git(
                self.folder,
                *("push", "--quiet", *lease, remote, f"{commit}:{name}"),
                environment=self.access,
            )
        except RepositoryError as error:
            raise PushRefused(error.message, where=f"{branch} on the remote") from error

    def diff(self, before: str, after: str) -> str:
        """The unified diff from one commit or tree to another, as `tree_with` takes it."""
        return self.git(
            *("diff-tree", "-r", "-p", "--no-color", "--no-renames", "--full-index", "--binary"),
            before,
            after,
        )

    def extract(self, commit: str, folder: Path) -> Path:
        """Write the files of a commit to `folder`, whole or not at all."""
        if folder.exists():
            return folder
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        index = self.folder / "selfheal-index"
        index.unlink(missing_ok=True)
        self.git("read-tree", commit, index=index)
        places = (f"--git-dir={self.folder}", f"--work-tree={partial}")
        self.git(*places, "checkout-index", "--all", index=index)
        partial.rename(folder)
        return folder

    def _merged_tree(self, ours: str, theirs: str) -> str | Conflict:
        """The tree of a three-way merge by git merge-tree (git 2.38 and later)."""
        arguments = ("merge-tree", "--write-tree", "--name-only", "--no-messages", ours, theirs)
        done = git(self.folder, *arguments, check=False)
        lines = done.stdout.splitlines()
        if done.returncode == 0:
            return lines[0]
        if done.returncode == 1:
            return Conflict(tuple(sorted(set(lines[1:]))))
        raise RepositoryError(f"git cannot merge {theirs[:12]} into {ours[:12]}: {done.stderr}")

    def _files_of(self, patch: str) -> tuple[str, ...]:
        try:
            listed = self.git("apply", "--numstat", "-", stdin=patch)
        except RepositoryError:
            return ()
        return tuple(sorted(line.split("\t")[2] for line in listed.splitlines()))


def remote_head(remote: str, branch: str, access: Mapping[str, str] | None = None) -> str | None:
    """The commit that a branch of a remote is at, None where there is no such branch."""
    listed = git(
        Path("/"), "ls-remote", "--heads", remote, f"refs/heads/{branch}", environment=access
    ).stdout
    return listed.split("\t")[0] if listed else None
