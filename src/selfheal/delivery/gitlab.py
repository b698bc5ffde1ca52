"""A forge on GitLab, through python-gitlab (extra ``gitlab``).

Branches go in by git; merge requests, statuses, the comment and the merge by the API. It
was tried against a small server that speaks GitLab's API, and on no more than that.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

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
    from gitlab import Gitlab

PIPELINE = "pipeline"
DRAFT = "Draft: "

_SAID: dict[CheckState, str] = {
    "passed": "success", "failed": "failed", "pending": "running",
    "timed_out": "failed", "not_run": "canceled",
}  # fmt: skip
_HEARD: dict[str, CheckState] = {
    "success": "passed", "failed": "failed", "canceled": "failed", "skipped": "not_run",
}  # fmt: skip


class GitLabForge:
    """The forge of one project. `remote` is the address for git."""

    def __init__(self, gitlab: Gitlab, project: str, remote: str, config: DeployConfig) -> None:
        self._config = config
        self._remote = remote
        self._access = git_access(remote, "gitlab", config.forge)
        with _in_words("the project"):
            self._project = gitlab.projects.get(project)

    @classmethod
    def of(cls, address: str, config: DeployConfig) -> GitLabForge:
        """The forge behind a remote's address. Raises as `forge_for` does."""
        try:
            from gitlab import Gitlab
        except ImportError as error:
            raise MissingExtra.of("python-gitlab", "gitlab") from error
        token = token_of("gitlab", config.forge)
        if token is None:
            raise ConfigurationError(
                "there is no token for GitLab.",
                where="deploy.forge.token_variable",
                hint=f"Set {config.forge.token_variable or 'GITLAB_TOKEN'} to one with the scopes "
                "api and write_repository.",
            )
        host = host_of(address) or "gitlab.com"
        scheme = urlparse(address).scheme
        base_url = config.forge.base_url or f"{scheme if scheme == 'http' else 'https'}://{host}"
        project = config.forge.project or project_of(address)
        return cls(Gitlab(base_url, private_token=token), project, address, config)

    @property
    def remote(self) -> str:
        return self._remote

    def head(self, branch: str) -> str | None:
        return remote_head(self._remote, branch, self._access)

    def find_pull(self, branch: str) -> Pull | None:
        with _in_words("the merge requests"):
            found = self._listed(state="all", source_branch=branch)
            return next((self._told(request) for request in found), None)

    def list_pulls(self, prefix: str) -> list[Pull]:
        """All open ones, and of the others the newest `CLOSED_LISTED`, newest first."""
        with _in_words("the merge requests"):
            opened = list(self._listed(state="opened"))
            others = (each for each in self._listed(state="all") if each.state != "opened")
            found = [
                self._told(each)
                for each in (*opened, *islice(others, CLOSED_LISTED))
                # Anybody may open one from a fork, with any branch name and any text.
                if each.source_branch.startswith(prefix)
                and each.source_project_id == each.target_project_id
            ]
        return sorted(found, key=lambda pull: -pull.number)

    def open_pull(self, *, title: str, body: str, branch: str, base: str, head: str) -> Pull:
        with _in_words("a new merge request"):
            request = self._project.mergerequests.create(
                {
                    "source_branch": branch,
                    "target_branch": base,
                    "title": f"{DRAFT}{title}" if self._config.forge.draft else title,
                    "description": body,
                    "labels": ",".join(self._config.forge.labels),
                }
            )
            return self._told(request).model_copy(update={"head": head})

    def update_pull(self, number: int, *, title: str, body: str, head: str) -> Pull:
        with _in_words(f"!{number}"):
            request = self._request(number)
            request.title = f"{DRAFT}{title}" if request.title.startswith(DRAFT) else title
            request.description = body
            request.save()
            return self._told(request).model_copy(update={"head": head})

    def set_check(self, number: int, name: str, state: CheckState) -> Pull:
        return self._set_status(number, name, state, f"{name}: {state}")

    def set_phase(self, number: int, phase: str, state: CheckState, description: str) -> Pull:
        return self._set_status(number, phase, state, description)

    def comment(self, number: int, text: str) -> None:
        with _in_words(f"the comments of !{number}"):
            request = self._request(number)
            for note in request.notes.list(iterator=True):
                if note.body.startswith(STICKY):
                    note.body = text
                    note.save()
                    return
            request.notes.create({"body": text})

    def checks(self, pull: Pull) -> dict[str, CheckState]:
        with _in_words(f"the checks of !{pull.number}"):
            statuses = self._project.commits.get(pull.head).statuses.list(iterator=True)
            found = {each.name: _HEARD.get(each.status, "pending") for each in statuses}
            pipeline = self._request(pull.number).attributes.get("head_pipeline")
            if pipeline is not None and pipeline.get("sha") == pull.head:
                found[PIPELINE] = _HEARD.get(pipeline["status"], "pending")
        return with_own(found)

    def required_checks(self, base: str) -> list[str]:
        """The pipeline, where the project merges nothing without its success."""
        del base  # the setting is the project's, for all branches
        asked = self._project.attributes.get("only_allow_merge_if_pipeline_succeeds")
        return [PIPELINE] if asked else []

    def merge(self, number: int, workshop: Workshop, commit: str) -> Pull:
        from gitlab import GitlabError

        message = workshop.git("log", "-1", "--format=%B", commit).strip()
        with _in_words(f"the merge of !{number}"):
            request = self._request(number)
            if request.title.startswith(DRAFT):
                request.title = request.title.removeprefix(DRAFT)
                request.save()
            try:
                request.merge(merge_commit_message=message, sha=request.sha)
            except GitlabError as error:
                if error.response_code not in (401, 403, 405, 406, 409, 422):
                    raise
                raise PushRefused(f"{_words(error)}.", where=f"!{number}") from error
            told = self._told(self._request(number))
        if told.state != "merged":
            raise PushRefused("GitLab took the merge on and has not done it.", where=f"!{number}")
        workshop.fetch(self._remote, told.base)
        return told

    def mark_merged(self, number: int, commit: str) -> Pull:
        """GitLab sees by itself that a head is in its base."""
        with _in_words(f"!{number}"):
            told = self._told(self._request(number))
        return told.model_copy(update={"state": "merged", "merge_commit": commit})

    def mark_reverted(self, number: int, commit: str | None, note: str) -> Pull:
        with _in_words(f"!{number}"):
            request = self._request(number)
            request.notes.create({"body": f"Taken back by {commit}: {note}" if commit else note})
            if commit is not None:
                request.labels = [*request.labels, REVERTED]
                request.save()
            told = self._told(request)
        return told.model_copy(update={"revert_commit": commit, "note": note})

    def _listed(self, **wanted: Any) -> Any:
        return self._project.mergerequests.list(
            iterator=True, order_by="created_at", sort="desc", **wanted
        )

    def _set_status(self, number: int, name: str, state: CheckState, description: str) -> Pull:
        with _in_words(f"the status {name} of !{number}"):
            request = self._request(number)
            self._project.commits.get(request.sha).statuses.create(
                {
                    "state": _SAID[state],
                    "name": f"{CONTEXT}{name}",
                    "description": description[:DESCRIPTION_WIDTH],
                    "ref": request.source_branch,
                }
            )
            return self._told(request)

    def _request(self, number: int) -> Any:
        return self._project.mergerequests.get(number)

    @staticmethod
    def _told(request: Any) -> Pull:
        body = request.description or ""
        state: PullState = "open" if request.state in ("opened", "locked") else "closed"
        if request.state == "merged":
            state = "reverted" if REVERTED in request.labels else "merged"
        return Pull(
            number=request.iid,
            title=request.title.removeprefix(DRAFT),
            branch=request.source_branch,
            base=request.target_branch,
            head=request.sha or "",
            url=request.web_url,
            body_sha256=sha256_of(body.encode()),
            state=state,
            opened_at=datetime.fromisoformat(request.created_at).isoformat(),
            fingerprint=Fingerprint.read(body),
            merge_commit=request.merge_commit_sha if request.state == "merged" else None,
        )


def _in_words(what: str) -> AbstractContextManager[None]:
    from gitlab import GitlabError

    return in_words(
        "GitLab", GitlabError, lambda error: (error.response_code, _words(error)), "scopes", what
    )


def _words(error: Any) -> str:
    return str(error.error_message or error.response_code).rstrip(".")
