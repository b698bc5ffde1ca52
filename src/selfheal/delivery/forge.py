"""What a forge does for a delivery: it holds branches and pull requests.

`Forge` is the protocol; `selfheal.delivery.local_forge` is the one over a bare
repository on disk. `forge_for` chooses by the address of the remote.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote, urlparse

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.codebase.git import git
from selfheal.delivery.workshop import Workshop
from selfheal.errors import RepositoryError

PullState = Literal["open", "merged", "reverted", "closed"]
CheckState = Literal["pending", "passed", "failed", "timed_out", "not_run"]


class Pull(Model):
    """A pull request as the forge keeps it. `checks` maps a check's name to its state."""

    number: int
    title: str
    branch: str
    base: str
    head: str
    url: str
    body_sha256: str
    state: PullState = "open"
    checks: dict[str, CheckState] = Field(default_factory=dict)
    merge_commit: str | None = None
    revert_commit: str | None = None
    note: str = ""


class Forge(Protocol):
    """A place that holds branches and pull requests.

    Branches go in by git: `remote` is the address to push to and to fetch from.
    """

    @property
    def remote(self) -> str: ...

    def head(self, branch: str) -> str | None:
        """The commit that a branch is at, None where there is no such branch."""
        ...

    def find_pull(self, branch: str) -> Pull | None:
        """The pull request of a branch, None where none was opened."""
        ...

    def open_pull(self, *, title: str, body: str, branch: str, base: str, head: str) -> Pull:
        """Open a pull request and return it with its number."""
        ...

    def set_check(self, number: int, name: str, state: CheckState) -> Pull:
        """Say of a pull request what a check found."""
        ...

    def merge(self, number: int, workshop: Workshop, commit: str) -> Pull:
        """Bring the merge commit `commit` into the base and mark the request as merged.

        Raises PushRefused where the base moved on meanwhile.
        """
        ...

    def mark_merged(self, number: int, commit: str) -> Pull:
        """Say of a pull request that `commit`, which is in the base, merged it."""
        ...

    def mark_reverted(self, number: int, commit: str | None, note: str) -> Pull:
        """Say of a merged pull request that `commit` took it back, and why.

        With None for `commit` the request stays merged; `note` says why nothing took it back.
        """
        ...


def remote_address(repository: Path, remote: str) -> str | None:
    """The address of a remote of `repository`; a path or an address stands for itself.

    None where the repository has no remote of that name. Relative paths are taken
    from the repository, as git does.
    """
    try:
        address = git(repository, "remote", "get-url", "--push", remote).stdout.strip()
    except RepositoryError:
        if "/" not in remote:
            return None
        address = remote
    path = local_path(address)
    return str((repository / path).resolve()) if path is not None else address


def local_path(address: str) -> Path | None:
    """The folder that a git address names, None where it is on another machine."""
    parsed = urlparse(address)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    scp_like = ":" in address.split("/", 1)[0]
    return None if parsed.scheme or scp_like else Path(address)


def forge_for(repository: Path, remote: str) -> Forge:
    """The forge behind a remote of `repository`.

    Raises RepositoryError where there is no such remote, or none that is understood.
    """
    from selfheal.delivery.local_forge import LocalForge

    address = remote_address(repository, remote)
    if address is None:
        raise RepositoryError(
            f"the repository has no remote named {remote!r}.",
            where="deploy.remote",
            hint="Add one with git remote add, or name another in deploy.remote.",
        )
    if local_path(address) is None:
        raise RepositoryError(
            f"the remote {remote!r} is not a bare repository on this machine, "
            "the one kind of forge that is supported so far.",
            where="deploy.remote",
            hint="Take the change with selfheal patch and open the pull request by hand.",
        )
    return LocalForge(Path(address))
