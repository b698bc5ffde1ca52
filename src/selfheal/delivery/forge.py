"""What a forge does for a delivery: it holds branches and pull requests.

`Forge` is the protocol. There are forges over a bare repository on disk (`local_forge`),
over GitHub (`github`) and over GitLab (`gitlab`); `forge_for` chooses by the settings and
the address of the remote.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote, urlparse

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.codebase.git import git
from selfheal.config import DeployConfig
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.workshop import Workshop
from selfheal.errors import RepositoryError

PullState = Literal["open", "merged", "reverted", "closed"]
CheckState = Literal["pending", "passed", "failed", "timed_out", "not_run"]


class Pull(Model):
    """A pull request as the forge keeps it. `checks` maps a check's name to its state.

    `phases` says by phase of selfheal how it ended, `opened_at` (ISO 8601) when the
    request was opened, `fingerprint` what it is about.
    """

    number: int
    title: str
    branch: str
    base: str
    head: str
    url: str
    body_sha256: str
    state: PullState = "open"
    checks: dict[str, CheckState] = Field(default_factory=dict)
    phases: dict[str, str] = Field(default_factory=dict)
    opened_at: str = ""
    fingerprint: Fingerprint = Field(default_factory=Fingerprint)
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
        """The newest pull request of a branch, None where none was opened."""
        ...

    def list_pulls(self, prefix: str) -> list[Pull]:
        """The pull requests from branches of this repository that begin so, newest first."""
        ...

    def open_pull(self, *, title: str, body: str, branch: str, base: str, head: str) -> Pull:
        """Open a pull request and return it with its number."""
        ...

    def update_pull(self, number: int, *, title: str, body: str, head: str) -> Pull:
        """Give an open pull request another text; its branch is at `head` now."""
        ...

    def set_check(self, number: int, name: str, state: CheckState) -> Pull:
        """Say of a pull request what a check of ours found."""
        ...

    def set_phase(self, number: int, phase: str, state: CheckState, description: str) -> Pull:
        """Say of a pull request how a phase of selfheal ended."""
        ...

    def comment(self, number: int, text: str) -> None:
        """Say below a pull request how far it is; the one comment is written anew each time."""
        ...

    def checks(self, pull: Pull) -> dict[str, CheckState]:
        """What every check has said of the head of a pull request, other people's too."""
        ...

    def required_checks(self, base: str) -> list[str]:
        """The checks without whose success the forge itself lets nothing into a branch."""
        ...

    def merge(self, number: int, workshop: Workshop, commit: str) -> Pull:
        """Merge a pull request; `merge_commit` of what is returned is in the base then.

        `commit` is the merge as it was tested; a forge that merges by itself makes one of
        the same tree where the base stayed. Raises PushRefused where the base moved on
        meanwhile or is protected.
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


def forge_for(repository: Path, config: DeployConfig) -> Forge:
    """The forge behind ``deploy.remote`` of `repository`.

    Raises RepositoryError where there is no such remote, or none that is understood,
    MissingExtra where the package for it is not installed, ConfigurationError where
    ``deploy.forge`` does not say enough.
    """
    address = remote_address(repository, config.remote)
    if address is None:
        raise RepositoryError(
            f"the repository has no remote named {config.remote!r}.",
            where="deploy.remote",
            hint="Add one with git remote add, or name another in deploy.remote.",
        )
    kind = kind_of(address, config)
    if kind == "github":
        from selfheal.delivery.github import GitHubForge

        return GitHubForge.of(address, config)
    if kind == "gitlab":
        from selfheal.delivery.gitlab import GitLabForge

        return GitLabForge.of(address, config)
    if kind == "local" and local_path(address) is not None:
        from selfheal.delivery.local_forge import LocalForge

        return LocalForge(Path(address))
    raise RepositoryError(
        f"the remote {config.remote!r} is not a bare repository on this machine, "
        "and its address does not say what kind of forge it is.",
        where="deploy.remote",
        hint="Set deploy.forge.kind to github or gitlab, or take the change with selfheal "
        "patch and open the pull request by hand.",
    )


def kind_of(address: str, config: DeployConfig) -> str:
    """``deploy.forge.kind``, or what the address says: local, github, gitlab or unknown."""
    if config.forge.kind != "auto":
        return config.forge.kind
    if local_path(address) is not None:
        return "local"
    host = host_of(address)
    return next((kind for kind in ("github", "gitlab") if kind in host.split(".")), "unknown")


def host_of(address: str) -> str:
    """The host that a git address names, in lower case; empty for a path."""
    if "://" in address:
        return (urlparse(address).hostname or "").lower()
    before, colon, _ = address.partition(":")
    return before.rpartition("@")[2].lower() if colon and "/" not in before else ""


def project_of(address: str) -> str:
    """The project that a git address names, as ``owner/name``."""
    path = urlparse(address).path if "://" in address else address.partition(":")[2]
    return path.strip("/").removesuffix(".git")
