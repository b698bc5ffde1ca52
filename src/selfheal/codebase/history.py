"""What git knows, read from its objects: the work tree and the index are never touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from selfheal.artifacts.model import Model
from selfheal.codebase.git import git, git_bytes
from selfheal.codebase.hunks import FileDiff, parse_diff
from selfheal.errors import RepositoryError

_DIFF = (
    "-p",
    "-U0",
    "-M",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
IGNORE_REVISIONS = ".git-blame-ignore-revs"
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}


class Commit(Model):
    """One commit and its change against its first parent.

    `date` is the author's, ISO 8601. A merge has an empty `diffs`: what it brought
    belongs to the commits that it merged.
    """

    sha: str
    parents: list[str]
    summary: str
    author: str
    date: str
    diffs: list[FileDiff]

    @property
    def files(self) -> list[str]:
        return sorted({diff.path for diff in self.diffs})


class BlameLine(Model):
    """`sha` wrote the line, as its line `original_line`; `boundary` marks what is older than the range."""

    line: int
    sha: str
    original_line: int
    boundary: bool


class History:
    """A repository's history. `path` is anywhere inside it, or a bare repository.

    Raises RepositoryError where `path` is no git repository or git is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise RepositoryError(
                "this folder does not exist.", where=str(path), hint="Name a git repository."
            )
        self._git("rev-parse", "--git-dir", hint="Name a git repository with --repo.")

    @property
    def shallow(self) -> bool:
        """Whether the clone holds only a part of the history."""
        return self._git("rev-parse", "--is-shallow-repository").strip() == "true"

    def resolve(self, revision: str) -> str:
        """The full id of the commit that `revision` names. Raises RepositoryError if there is none."""
        sha = self._commit(revision)
        if sha is None:
            raise RepositoryError(
                f"there is no commit {revision!r}.",
                where=str(self.path),
                hint="The clone is shallow: run git fetch --unshallow --tags."
                if self.shallow
                else "Fetch it, or name another revision.",
            )
        return sha

    def release_commit(self, version: str, hint: str | None = None) -> str | None:
        """The commit of a release: `hint` (from telemetry) if known here, else its tag, else None."""
        names = [f"refs/tags/v{version}", f"refs/tags/{version}", f"refs/tags/release-{version}"]
        for name in [hint, *names]:
            sha = self._commit(name) if name else None
            if sha is not None:
                return sha
        return None

    def commits(self, good: str | None, bad: str) -> list[Commit]:
        """The commits that `bad` has and `good` has not, newest first, merges included.

        Without `good`, the whole history of `bad`.
        """
        span = [self.resolve(bad), *([f"^{self.resolve(good)}"] if good else [])]
        listed = self._git(
            "log", "--topo-order", "-z", "--format=%H%n%P%n%an <%ae>%n%aI%n%s", *span, "--"
        )
        heads = [record.split("\n", 4) for record in listed.split("\0") if record]
        diffs = self._commit_diffs([head[0] for head in heads])
        return [
            Commit(
                sha=sha,
                parents=parents.split(),
                author=author,
                date=date,
                summary=summary,
                diffs=diffs.get(sha, []),
            )
            for sha, parents, author, date, summary in heads
        ]

    def commit(self, sha: str) -> Commit:
        """One commit by its id."""
        parents = self._git("rev-list", "--parents", "--max-count=1", sha, "--").split()[1:]
        return self.commits(parents[0] if parents else None, sha)[0]

    def first_parents(self, span: str, most: int) -> list[str]:
        """The commits of a range by first parents alone, newest first, at most so many."""
        return self._git("rev-list", "--first-parent", f"--max-count={most}", span, "--").split()

    def touched(self, sha: str, most: int) -> list[set[str]]:
        """The files of each of the last commits, merges left out, newest first."""
        listed = self._git(
            "log",
            "--no-merges",
            f"--max-count={most}",
            "--name-only",
            "-z",
            "--format=%x01",
            sha,
            "--",
        )
        commits = listed.split("\x01")[1:]
        return [{name.strip("\n") for name in commit.split("\0")} - {""} for commit in commits]

    def messages(self, span: str, most: int) -> list[tuple[str, str]]:
        """(commit, message) of the last commits of a range, merges left out, newest first."""
        listed = self._git(
            "log", "--no-merges", f"--max-count={most}", "-z", "--format=%H%n%B", span, "--"
        )
        found = [record.partition("\n") for record in listed.split("\0") if record]
        return [(sha, message.strip()) for sha, _, message in found]

    def count(self, since: str | None, until: str) -> int:
        """How many commits a range has, merges left out."""
        span = [self.resolve(until), *([f"^{self.resolve(since)}"] if since else [])]
        return int(self._git("rev-list", "--no-merges", "--count", *span, "--"))

    def changed_files(self, sha: str) -> list[str]:
        """The files that a commit changed against its first parent, sorted."""
        listed = self._git(
            "diff-tree",
            "-r",
            "-m",
            "--first-parent",
            "--root",
            "--name-only",
            "--no-commit-id",
            "-z",
            sha,
        )
        return sorted({name for name in listed.split("\0") if name})

    def diff(self, old: str, new: str, paths: Sequence[str] = ()) -> list[FileDiff]:
        """The change from one commit to another, of all files or of `paths`."""
        return parse_diff(self._git("diff-tree", "-r", *_DIFF, old, new, "--", *paths))

    def files(self, sha: str) -> list[str]:
        """The files of a commit, sorted, submodules left out."""
        return sorted(path for path, _ in self.blobs(sha))

    def blobs(self, sha: str) -> list[tuple[str, str]]:
        """(path, blob id) of every regular file of a commit, symbolic links left out."""
        found = []
        for record in self._git("ls-tree", "-r", "-z", "--full-tree", sha).split("\0"):
            head, _, path = record.partition("\t")
            if head.startswith("100"):
                found.append((path, head.split()[2]))
        return found

    def text(self, sha: str, path: str) -> str | None:
        """A file's text at a commit; None where it is absent or binary."""
        return self.texts([f"{sha}:{path}"])[0]

    def texts(self, objects: Sequence[str]) -> list[str | None]:
        """The texts of many objects (blob ids or ``<commit>:<path>``) in one git process.

        None for one that is absent, no blob, or binary (a NUL in its first 8,000 bytes, as
        git decides it). Bytes that are not UTF-8 become the replacement character.
        """
        asked = [name for name in objects if "\n" not in name]
        request = "".join(f"{name}\n" for name in asked).encode("utf-8", "surrogateescape")
        output = self._git_bytes("cat-file", "--batch", input=request) if asked else b""
        answers = dict(zip(asked, _batch(output, len(asked)), strict=True))
        return [answers.get(name) for name in objects]

    def blame(
        self,
        sha: str,
        path: str,
        first: int = 1,
        last: int | None = None,
        *,
        since: str | None = None,
        ignore: Iterable[str] = (),
    ) -> list[BlameLine]:
        """Who wrote each line of a file at `sha`, following moves and passing over whitespace.

        Commits older than `since` are a boundary. Commits listed in the repository's
        ``.git-blame-ignore-revs`` (as of `sha`) and in `ignore` are passed over.
        """
        skipped = sorted({*self.ignored_revisions(sha), *ignore})
        span = f"{first},{'' if last is None else last}"
        output = self._git(
            "blame",
            "--porcelain",
            "-w",
            "-M",
            *(f"--ignore-rev={revision}" for revision in skipped),
            "-L",
            span,
            f"{since}..{sha}" if since else sha,
            "--",
            path,
        )
        return _porcelain(output)

    def ignored_revisions(self, sha: str) -> list[str]:
        """The commits that the project's blame-ignore file names and this clone knows."""
        text = self.text(sha, IGNORE_REVISIONS) or ""
        names = [line.split("#")[0].strip() for line in text.splitlines()]
        known = (self._commit(name) for name in names if _SHA.fullmatch(name))
        return [revision for revision in known if revision is not None]

    def _commit(self, revision: str) -> str | None:
        if not revision or "\0" in revision or "\n" in revision:
            return None
        name = f"{revision}^{{commit}}"
        done = git(
            self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", name, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def _commit_diffs(self, shas: Sequence[str]) -> dict[str, list[FileDiff]]:
        request = "".join(f"{sha}\n" for sha in shas).encode()
        output = self._git_bytes("diff-tree", "--stdin", "-r", "--root", *_DIFF, input=request)
        sections: dict[str, list[str]] = {}
        current: list[str] = []
        for line in output.decode("utf-8", "replace").split("\n"):
            # Every line of a patch starts with a mark or a word, never with a bare commit id.
            if _SHA.fullmatch(line):
                current = sections.setdefault(line, [])
            else:
                current.append(line)
        return {sha: parse_diff("\n".join(lines)) for sha, lines in sections.items()}

    def _git(self, *arguments: str, hint: str | None = None) -> str:
        return self._git_bytes(*arguments, hint=hint).decode("utf-8", "replace")

    def _git_bytes(
        self, *arguments: str, input: bytes | None = None, hint: str | None = None
    ) -> bytes:
        return git_bytes(self.path, *arguments, input=input, environment=_LITERAL, hint=hint).stdout


def _batch(output: bytes, count: int) -> list[str | None]:
    """The answers of ``cat-file --batch``: ``<id> blob <size>\\n<bytes>\\n`` or one line of refusal."""
    found: list[str | None] = []
    position = 0
    while len(found) < count:
        end = output.index(b"\n", position)
        head = output[position:end].rsplit(b" ", 2)
        position = end + 1
        if not head[-1].isdigit():
            found.append(None)
            continue
        content = output[position : position + int(head[-1])]
        position += len(content) + 1
        binary = head[-2] != b"blob" or b"\0" in content[:8000]
        found.append(None if binary else content.decode("utf-8", "replace"))
    return found


def _porcelain(output: str) -> list[BlameLine]:
    """Blame's porcelain output; what is said of a commit is said once, at its first line."""
    found: list[BlameLine] = []
    boundaries: set[str] = set()
    sha, original, line = "", 0, 0
    for text in output.split("\n"):
        if text.startswith("\t"):
            found.append(
                BlameLine(line=line, sha=sha, original_line=original, boundary=sha in boundaries)
            )
        elif text == "boundary":
            boundaries.add(sha)
        elif len(words := text.split()) >= 3 and _SHA.fullmatch(words[0]):
            sha, original, line = words[0], int(words[1]), int(words[2])
    return found
