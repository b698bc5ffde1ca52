"""A forge on GitHub, or on a server that speaks like it, through PyGithub (extra ``github``).

Branches go in by git; pull requests, statuses, the comment and the merge by the API. The
merge is GitHub's own, so its branch protection and rulesets count as they do for people.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any

from selfheal.artifacts.canonical import sha256_of
from selfheal.config import DeployConfig
from selfheal.delivery.access import git_access, token_of
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.forge import CheckState, Pull, PullState, host_of, project_of
from selfheal.delivery.hosted import (
    CLOSED_LISTED,
    CONTEXT,
    DESCRIPTION_WIDTH,
    REVERTED,
    in_words,
    with_own,
)
from selfheal.delivery.progress import STICKY
from selfheal.delivery.workshop import Workshop, remote_head
from selfheal.errors import ConfigurationError, MissingExtra, PushRefused

if TYPE_CHECKING:
    from github import Github
    from github.PullRequest import PullRequest

# GitHub asks for a second between writes: docs.github.com, "Best practices for the REST API".
SECONDS_BETWEEN_REQUESTS, SECONDS_BETWEEN_WRITES = 0.1, 1.0

_SAID: dict[CheckState, str] = {
    "passed": "success", "failed": "failure", "pending": "pending",
    "timed_out": "error", "not_run": "error",
}  # fmt: skip
_HEARD: dict[str, CheckState] = {
    "success": "passed", "pending": "pending", "failure": "failed", "error": "failed",
}  # fmt: skip
# As GitHub itself counts the conclusions of required check runs.
_CONCLUDED: dict[str, CheckState] = {
    "success": "passed", "neutral": "passed", "skipped": "passed", "timed_out": "timed_out",
}  # fmt: skip


class GitHubForge:
    """The forge of one project. `remote` is the address for git, `access` its environment."""

    def __init__(self, github: Github, project: str, remote: str, config: DeployConfig) -> None:
        self._github = github
        self._config = config
        self._remote = remote
        self._access = git_access(remote, "github", config.forge)
        with _in_words("the project"):
            self._project = github.get_repo(project)

    @classmethod
    def of(cls, address: str, config: DeployConfig) -> GitHubForge:
        """The forge behind a remote's address. Raises as `forge_for` does."""
        try:
            from github import Auth, Github
        except ImportError as error:
            raise MissingExtra.of("PyGithub", "github") from error
        token = token_of("github", config.forge)
        if token is None:
            raise ConfigurationError(
                "there is no token for GitHub.",
                where="deploy.forge.token_variable",
                hint=f"Set {config.forge.token_variable or 'GITHUB_TOKEN'} to one that may write "
                "contents, pull requests and commit statuses of the project.",
            )
        project = config.forge.project or project_of(address)
        host = host_of(address)
        elsewhere = f"https://{host}/api/v3" if host not in ("", "github.com") else None
        base_url = config.forge.base_url or elsewhere or "https://api.github.com"
        github = Github(
            auth=Auth.Token(token),
            base_url=base_url,
            seconds_between_requests=SECONDS_BETWEEN_REQUESTS,
            seconds_between_writes=SECONDS_BETWEEN_WRITES,
        )
        return cls(github, project, address, config)

    @property
    def remote(self) -> str:
        return self._remote

    def head(self, branch: str) -> str | None:
        return remote_head(self._remote, branch, self._access)

    def find_pull(self, branch: str) -> Pull | None:
        owner = self._project.owner.login
        with _in_words("the pull requests"):
            found = self._project.get_pulls(
                state="all", head=f"{owner}:{branch}", sort="created", direction="desc"
            )
            return next((self._told(pull) for pull in found), None)

    def list_pulls(self, prefix: str) -> list[Pull]:
        """All open ones, and of those closed the newest `CLOSED_LISTED`, newest first."""
        with _in_words("the pull requests"):
            opened = self._project.get_pulls(state="open", sort="created", direction="desc")
            closed = self._project.get_pulls(state="closed", sort="created", direction="desc")
            found = [
                self._told(pull)
                for pull in (*opened, *islice(closed, CLOSED_LISTED))
                if pull.head.ref.startswith(prefix) and self._is_ours(pull)
            ]
        return sorted(found, key=lambda pull: -pull.number)

    def open_pull(self, *, title: str, body: str, branch: str, base: str, head: str) -> Pull:
        from github import GithubException

        def create(draft: bool) -> PullRequest:
            return self._project.create_pull(
                base=base, head=branch, title=title, body=body, draft=draft
            )

        with _in_words("a new pull request"):
            try:
                pull = create(self._config.forge.draft)
            except GithubException as error:
                # Not every plan has drafts; a second attempt tells that from other trouble.
                if error.status != 422 or not self._config.forge.draft:
                    raise
                pull = create(draft=False)
            if self._config.forge.labels:
                pull.add_to_labels(*self._config.forge.labels)
            return self._told(pull).model_copy(update={"head": head})

    def update_pull(self, number: int, *, title: str, body: str, head: str) -> Pull:
        with _in_words(f"#{number}"):
            self._pull(number).edit(title=title, body=body)
            return self._told(self._pull(number)).model_copy(update={"head": head})

    def set_check(self, number: int, name: str, state: CheckState) -> Pull:
        return self._set_status(number, name, state, f"{name}: {state}")

    def set_phase(self, number: int, phase: str, state: CheckState, description: str) -> Pull:
        return self._set_status(number, phase, state, description)

    def comment(self, number: int, text: str) -> None:
        from github import GithubException

        with _in_words(f"#{number}"):
            pull = self._pull(number)
            for comment in pull.get_issue_comments():
                if not comment.body.startswith(STICKY):
                    continue
                try:
                    comment.edit(text)
                except GithubException as error:
                    if error.status != 403:  # somebody else's, who quoted ours
                        raise
                else:
                    return
            pull.create_issue_comment(text)

    def checks(self, pull: Pull) -> dict[str, CheckState]:
        with _in_words(f"the checks of #{pull.number}"):
            commit = self._project.get_commit(pull.head)
            found: dict[str, CheckState] = {
                run.name: _CONCLUDED.get(run.conclusion or "", "failed")
                if run.status == "completed"
                else "pending"
                for run in commit.get_check_runs()
            }
            for status in commit.get_combined_status().statuses:
                found[status.context] = _HEARD.get(status.state, "failed")
        return with_own(found)

    def required_checks(self, base: str) -> list[str]:
        """Those of the branch's protection, and of the rulesets that are active on it."""
        from github import GithubException

        with _in_words(f"the branch {base}"):
            raw = self._project.get_branch(base).raw_data
            protection = raw.get("protection", {}).get("required_status_checks", {})
            names = set(protection.get("contexts", []))
            try:
                _, rules = self._github.requester.requestJsonAndCheck(
                    "GET", f"{self._project.url}/rules/branches/{base}"
                )
            except GithubException as error:
                if error.status != 404:  # an older server without rulesets
                    raise
                rules = []
        return sorted(names | _contexts(rules))

    def merge(self, number: int, workshop: Workshop, commit: str) -> Pull:
        from github import GithubException

        title, _, message = workshop.git("log", "-1", "--format=%B", commit).partition("\n")
        with _in_words(f"the merge of #{number}"):
            pull = self._pull(number)
            if pull.draft:
                pull.mark_ready_for_review()
            try:
                merged = pull.merge(
                    commit_title=title,
                    commit_message=message.strip(),
                    merge_method="merge",
                    sha=pull.head.sha,
                )
            except GithubException as error:
                if error.status not in (403, 405, 409, 422):
                    raise
                raise PushRefused(f"{_words(error)}.", where=f"#{number}") from error
            told = self._told(self._pull(number))
        workshop.fetch(self._remote, told.base)
        return told.model_copy(update={"state": "merged", "merge_commit": merged.sha})

    def mark_merged(self, number: int, commit: str) -> Pull:
        """GitHub sees by itself that a head is in its base."""
        with _in_words(f"#{number}"):
            told = self._told(self._pull(number))
        return told.model_copy(update={"state": "merged", "merge_commit": commit})

    def mark_reverted(self, number: int, commit: str | None, note: str) -> Pull:
        with _in_words(f"#{number}"):
            pull = self._pull(number)
            pull.create_issue_comment(f"Taken back by {commit}: {note}" if commit else note)
            if commit is not None:
                pull.add_to_labels(REVERTED)
            told = self._told(self._pull(number))
        return told.model_copy(update={"revert_commit": commit, "note": note})

    def _set_status(self, number: int, name: str, state: CheckState, description: str) -> Pull:
        with _in_words(f"the status {name} of #{number}"):
            pull = self._pull(number)
            self._project.get_commit(pull.head.sha).create_status(
                _SAID[state],
                description=description[:DESCRIPTION_WIDTH],
                context=f"{CONTEXT}{name}",
            )
            return self._told(pull)

    def _pull(self, number: int) -> PullRequest:
        return self._project.get_pull(number)

    def _is_ours(self, pull: PullRequest) -> bool:
        # Anybody may open one from a fork, with any branch name and any text.
        source = pull.head.repo
        return source is not None and source.full_name == self._project.full_name

    @staticmethod
    def _told(pull: PullRequest) -> Pull:
        body = pull.body or ""
        state: PullState = "open" if pull.state == "open" else "closed"
        if pull.merged_at is not None:
            state = "reverted" if REVERTED in {label.name for label in pull.labels} else "merged"
        return Pull(
            number=pull.number,
            title=pull.title,
            branch=pull.head.ref,
            base=pull.base.ref,
            head=pull.head.sha,
            url=pull.html_url,
            body_sha256=sha256_of(body.encode()),
            state=state,
            opened_at=pull.created_at.isoformat(),
            fingerprint=Fingerprint.read(body),
            merge_commit=pull.merge_commit_sha if pull.merged_at is not None else None,
        )


def _contexts(rules: Any) -> set[str]:
    return {
        check["context"]
        for rule in rules
        if rule.get("type") == "required_status_checks"
        for check in rule.get("parameters", {}).get("required_status_checks", [])
    }


def _in_words(what: str) -> AbstractContextManager[None]:
    from github import GithubException

    return in_words(
        "GitHub", GithubException, lambda error: (error.status, _words(error)), "permissions", what
    )


def _words(error: Any) -> str:
    data = error.data if isinstance(error.data, dict) else {}
    return str(data.get("message") or error.status).rstrip(".")
