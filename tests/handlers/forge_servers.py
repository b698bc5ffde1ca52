"""Servers on loopback that speak like GitHub and GitLab, over a real bare repository.

They keep what those two promise where a delivery depends on it: drafts are not merged,
nothing is merged without its required checks or at another head than the one named, and
a merge is a commit of their own making.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

from selfheal.codebase.git import git

WHEN = "2024-01-02T03:04:05Z"
TOKEN = "secret-of-the-test"


@dataclass
class ForgeServer:
    """What a server holds. `refused` is what it said no to."""

    bare: Path
    required: list[str] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    statuses: dict[str, dict[str, str]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    address: str = ""

    def head(self, branch: str) -> str:
        return git(self.bare, "rev-parse", f"refs/heads/{branch}").stdout.strip()

    def pull(self, number: int) -> dict[str, Any]:
        return self.pulls[number - 1]

    def open(self, **fields: Any) -> dict[str, Any]:
        pull = {
            "number": len(self.pulls) + 1,
            "state": "open",
            "labels": [],
            "merge": None,
            "fork": False,
            **fields,
        }
        self.pulls.append(pull)
        return pull

    def sha(self, pull: dict[str, Any]) -> str:
        return str(pull["sha"]) if pull["merge"] else self.head(pull["branch"])

    def missing(self, sha: str) -> list[str]:
        reported = self.statuses.get(sha, {})
        return [name for name in self.required if reported.get(name) != "success"]

    def merge(self, pull: dict[str, Any], message: str) -> str:
        """A real merge commit; the base moves to it."""
        base, head = self.head(pull["base"]), self.head(pull["branch"])
        tree = git(self.bare, "merge-tree", "--write-tree", base, head).stdout.split()[0]
        who = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", "forge"), ("EMAIL", "forge@localhost"))
        }
        parents = ("-p", base, "-p", head)
        done = git(self.bare, "commit-tree", tree, *parents, "-m", message, environment=who)
        commit = done.stdout.strip()
        git(self.bare, "update-ref", f"refs/heads/{pull['base']}", commit, base)
        pull |= {"merge": commit, "sha": head, "state": "merged"}
        return commit

    def no(self, status: int, message: str) -> tuple[Response, int]:
        self.refused.append(message)
        return jsonify(message=message), status


@contextmanager
def serving(app: Flask, server: ForgeServer) -> Iterator[ForgeServer]:
    """Serve until the end of the block; `server.address` says where."""
    listening = make_server("127.0.0.1", 0, app, threaded=True)
    server.address = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def guarded(app: Flask, server: ForgeServer, header: str, value: str) -> None:
    @app.before_request
    def check() -> Any:
        if request.headers.get(header) != value:
            return server.no(401, "Bad credentials")
        return None


def github_app(server: ForgeServer) -> Flask:
    app = Flask("github")
    guarded(app, server, "Authorization", f"token {TOKEN}")
    repo = "/repos/shop/service"

    def repository(name: str = "shop/service") -> dict[str, Any]:
        return {
            "full_name": name,
            "name": name.partition("/")[2],
            "owner": {"login": "shop", "url": f"{server.address}/users/shop"},
            "url": f"{server.address}{repo}",
        }

    def told(pull: dict[str, Any]) -> dict[str, Any]:
        number, merged = pull["number"], pull["merge"]
        source = repository("stranger/service" if pull["fork"] else "shop/service")
        return {
            "number": number,
            "node_id": f"node-{number}",
            "url": f"{server.address}{repo}/pulls/{number}",
            "issue_url": f"{server.address}{repo}/issues/{number}",
            "html_url": f"{server.address}/shop/service/pull/{number}",
            "title": pull["title"],
            "body": pull["body"],
            "state": "open" if pull["state"] == "open" else "closed",
            "draft": pull["draft"],
            "labels": [{"name": name} for name in pull["labels"]],
            "created_at": WHEN,
            "merged_at": WHEN if merged else None,
            "merge_commit_sha": merged,
            "head": {"ref": pull["branch"], "sha": server.sha(pull), "repo": source},
            "base": {"ref": pull["base"], "sha": server.head(pull["base"]), "repo": repository()},
        }

    @app.get(repo)
    def project() -> Any:
        return repository()

    @app.get(f"{repo}/pulls")
    def pulls() -> Any:
        state, head = request.args["state"], request.args.get("head", "").partition(":")[2]
        found = [
            told(pull)
            for pull in reversed(server.pulls)
            if head in ("", pull["branch"])
            and (state == "all" or (state == "open") == (pull["state"] == "open"))
        ]
        return jsonify(found if request.args.get("page", "1") == "1" else [])

    @app.post(f"{repo}/pulls")
    def create() -> Any:
        sent = request.get_json()
        pull = server.open(
            title=sent["title"],
            body=sent["body"],
            draft=sent["draft"],
            branch=sent["head"],
            base=sent["base"],
        )
        return told(pull), 201

    @app.get(f"{repo}/pulls/<int:number>")
    def one(number: int) -> Any:
        return told(server.pull(number))

    @app.patch(f"{repo}/pulls/<int:number>")
    def edit(number: int) -> Any:
        server.pull(number).update(request.get_json())
        return told(server.pull(number))

    @app.put(f"{repo}/pulls/<int:number>/merge")
    def merge(number: int) -> Any:
        pull, sent = server.pull(number), request.get_json()
        if sent["sha"] != server.sha(pull):
            return server.no(409, "Head branch was modified")
        if pull["draft"]:
            return server.no(405, "Pull Request is still a draft")
        missing = server.missing(sent["sha"])
        if missing:
            return server.no(405, f'Required status check "{missing[0]}" is expected.')
        commit = server.merge(pull, f"{sent['commit_title']}\n\n{sent['commit_message']}")
        return {"sha": commit, "merged": True, "message": "merged"}

    @app.post("/graphql")
    def graphql() -> Any:
        sent = request.get_json()
        assert "markPullRequestReadyForReview" in sent["query"]
        number = int(sent["variables"]["input"]["pullRequestId"].removeprefix("node-"))
        server.pull(number)["draft"] = False
        told = {"clientMutationId": None, "pullRequest": {"isDraft": False}}
        return {"data": {"markPullRequestReadyForReview": told}}

    @app.post(f"{repo}/issues/<int:number>/labels")
    def label(number: int) -> Any:
        names = server.pull(number)["labels"]
        sent = request.get_json()
        names += sent["labels"] if isinstance(sent, dict) else sent
        return jsonify([{"name": name} for name in names])

    @app.route(f"{repo}/issues/<int:number>/comments", methods=["GET", "POST"])
    def comments(number: int) -> Any:
        if request.method == "POST":
            made = {
                "id": len(server.comments) + 1,
                "pull": number,
                "body": request.get_json()["body"],
            }
            made["url"] = f"{server.address}{repo}/issues/comments/{made['id']}"
            server.comments[made["id"]] = made
            return made, 201
        return jsonify([each for each in server.comments.values() if each["pull"] == number])

    @app.patch(f"{repo}/issues/comments/<int:number>")
    def edit_comment(number: int) -> Any:
        if server.comments[number].get("foreign"):
            return server.no(403, "Must have admin rights")
        server.comments[number].update(request.get_json())
        return server.comments[number]

    @app.get(f"{repo}/commits/<sha>")
    def commit(sha: str) -> Any:
        return {"sha": sha, "url": f"{server.address}{repo}/commits/{sha}"}

    @app.post(f"{repo}/statuses/<sha>")
    def status(sha: str) -> Any:
        sent = request.get_json()
        server.statuses.setdefault(sha, {})[sent["context"]] = sent["state"]
        return sent, 201

    @app.get(f"{repo}/commits/<sha>/status")
    def combined(sha: str) -> Any:
        found = server.statuses.get(sha, {})
        return {"statuses": [{"context": name, "state": state} for name, state in found.items()]}

    @app.get(f"{repo}/commits/<sha>/check-runs")
    def runs(sha: str) -> Any:
        del sha
        run = {"name": "spelling", "status": "completed", "conclusion": "neutral"}
        return {"total_count": 1, "check_runs": [run]}

    @app.get(f"{repo}/branches/<name>")
    def branch(name: str) -> Any:
        contexts = server.required[:1]
        return {
            "name": name,
            "protected": True,
            "protection": {"required_status_checks": {"contexts": contexts}},
        }

    @app.get(f"{repo}/rules/branches/<name>")
    def rules(name: str) -> Any:
        del name
        checks = [{"context": context} for context in server.required[1:]]
        parameters = {"required_status_checks": checks}
        return jsonify([{"type": "required_status_checks", "parameters": parameters}])

    return app


def gitlab_app(server: ForgeServer) -> Flask:
    app = Flask("gitlab")
    guarded(app, server, "PRIVATE-TOKEN", TOKEN)
    project = "/api/v4/projects/7"

    def told(pull: dict[str, Any]) -> dict[str, Any]:
        states = {"open": "opened"}
        sha = server.sha(pull)
        pipeline = server.statuses.get(sha, {}).get("pipeline")
        return {
            "iid": pull["number"],
            "id": 100 + pull["number"],
            "title": pull["title"],
            "description": pull["body"],
            "state": states.get(pull["state"], pull["state"]),
            "source_branch": pull["branch"],
            "target_branch": pull["base"],
            "source_project_id": 8 if pull["fork"] else 7,
            "target_project_id": 7,
            "sha": sha,
            "labels": pull["labels"],
            "created_at": "2024-01-02T03:04:05.678Z",
            "web_url": f"{server.address}/shop/service/-/merge_requests/{pull['number']}",
            "merge_commit_sha": pull["merge"],
            "head_pipeline": {"sha": sha, "status": pipeline} if pipeline else None,
        }

    @app.get("/api/v4/projects/<path:name>")
    def one_project(name: str) -> Any:
        if name not in ("shop/service", "7"):
            return server.no(404, "404 Project Not Found")
        return {"id": 7, "only_allow_merge_if_pipeline_succeeds": "pipeline" in server.required}

    @app.get(f"{project}/merge_requests")
    def requests() -> Any:
        state, branch = request.args["state"], request.args.get("source_branch")
        found = [
            told(pull)
            for pull in reversed(server.pulls)
            if branch in (None, pull["branch"]) and (state == "all" or told(pull)["state"] == state)
        ]
        return jsonify(found)

    @app.post(f"{project}/merge_requests")
    def create() -> Any:
        sent = request.get_json()
        pull = server.open(
            title=sent["title"],
            body=sent["description"],
            branch=sent["source_branch"],
            base=sent["target_branch"],
            labels=sent["labels"].split(","),
        )
        return told(pull), 201

    @app.get(f"{project}/merge_requests/<int:number>")
    def one(number: int) -> Any:
        return told(server.pull(number))

    @app.put(f"{project}/merge_requests/<int:number>")
    def edit(number: int) -> Any:
        pull, sent = server.pull(number), request.get_json()
        pull["title"] = sent.get("title", pull["title"])
        pull["body"] = sent.get("description", pull["body"])
        if "labels" in sent:
            labels = sent["labels"]
            pull["labels"] = labels.split(",") if isinstance(labels, str) else labels
        return told(pull)

    @app.put(f"{project}/merge_requests/<int:number>/merge")
    def merge(number: int) -> Any:
        pull, sent = server.pull(number), request.get_json(silent=True) or {}
        sha = sent.get("sha") or request.args.get("sha")
        if sha != server.sha(pull):
            return server.no(409, "SHA does not match HEAD of source branch")
        if pull["title"].startswith("Draft:") or server.missing(sha):
            return server.no(405, "405 Method Not Allowed")
        server.merge(pull, sent["merge_commit_message"])
        return told(pull)

    @app.route(f"{project}/merge_requests/<int:number>/notes", methods=["GET", "POST"])
    def notes(number: int) -> Any:
        if request.method == "POST":
            made = {
                "id": len(server.comments) + 1,
                "pull": number,
                "body": request.get_json()["body"],
            }
            server.comments[made["id"]] = made
            return made, 201
        return jsonify([each for each in server.comments.values() if each["pull"] == number])

    @app.put(f"{project}/merge_requests/<int:number>/notes/<int:note>")
    def edit_note(number: int, note: int) -> Any:
        del number
        server.comments[note].update(request.get_json())
        return server.comments[note]

    @app.get(f"{project}/repository/commits/<sha>")
    def commit(sha: str) -> Any:
        return {"id": sha}

    @app.get(f"{project}/repository/commits/<sha>/statuses")
    def statuses(sha: str) -> Any:
        found = server.statuses.get(sha, {})
        return jsonify([{"name": name, "status": state} for name, state in found.items()])

    @app.post(f"{project}/statuses/<sha>")
    def status(sha: str) -> Any:
        sent = request.get_json()
        server.statuses.setdefault(sha, {})[sent["name"]] = sent["state"]
        return sent, 201

    return app
