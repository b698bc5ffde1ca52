"""GitHub and GitLab, as far as servers on loopback that speak like them can show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_world import QuickDelivery, quick_delivery
from forge_servers import TOKEN, ForgeServer, github_app, gitlab_app, serving

from selfheal.artifacts import Deployment
from selfheal.config import DeployConfig, ForgeConfig
from selfheal.contract import Waiting
from selfheal.delivery import github
from selfheal.delivery.access import git_access
from selfheal.delivery.forge import Forge, forge_for, host_of, kind_of, project_of
from selfheal.delivery.shipping import revert_merge
from selfheal.delivery.workshop import Identity, Workshop
from selfheal.errors import ConfigurationError, RepositoryError
from selfheal.standalone import FolderEffects

pytest.importorskip("github")
pytest.importorskip("gitlab")

APPS = {"github": github_app, "gitlab": gitlab_app}
PASSED = "success"


@pytest.fixture(params=["github", "gitlab"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(github, "SECONDS_BETWEEN_REQUESTS", None)
    monkeypatch.setattr(github, "SECONDS_BETWEEN_WRITES", None)
    monkeypatch.setenv(f"{request.param.upper()}_TOKEN", TOKEN)
    return str(request.param)


@pytest.fixture
def server(tmp_path: Path, kind: str) -> Iterator[ForgeServer]:
    made = ForgeServer(tmp_path / "forge.git")
    with serving(APPS[kind](made), made) as running:
        yield running


def shop(folder: Path, kind: str, server: ForgeServer, **deploy: object) -> QuickDelivery:
    forge = ForgeConfig(kind=kind, base_url=server.address, project="shop/service")
    return quick_delivery(folder, forge=forge, checks_seconds=0, **deploy)


def forge_of(made: QuickDelivery) -> Forge:
    return forge_for(made.world.repository, made.settings.deploy)


def required(kind: str) -> list[str]:
    return ["lint", "licences"] if kind == "github" else ["pipeline"]


def test_a_delivery_opens_a_draft_tells_each_phase_and_merges_when_all_required_checks_passed(
    tmp_path: Path, kind: str, server: ForgeServer
) -> None:
    made = shop(tmp_path, kind, server)
    server.required = required(kind)
    asked = made.deploy()
    assert isinstance(asked, Waiting)
    assert "have not reported" in asked.reason
    (pull,) = server.pulls
    assert pull["labels"] == ["selfheal"]
    assert pull["draft"] if kind == "github" else pull["title"].startswith("Draft: Fix: KeyError")
    assert "## How to switch this kind off" in pull["body"]
    head = server.head("selfheal/r1")
    assert server.statuses[head] == dict.fromkeys(
        [f"selfheal/{name}" for name in ("detect", "diagnose", "fix", "validate", "ci")], PASSED
    )
    before = server.head("main")
    for name in server.required:
        assert isinstance(made.deploy(), Waiting)
        assert server.head("main") == before
        server.statuses[head][name] = PASSED
    deployed = made.deploy()
    assert isinstance(deployed, Deployment)
    assert deployed.merge is not None
    assert deployed.merge.commit == server.head("main") == pull["merge"]
    assert made.log()[0] == "Merge selfheal/r1: Fix: KeyError in total (pricing.py:5)"
    assert server.refused == []
    comments = [each["body"] for each in server.comments.values()]
    assert len(comments) == 1, "the comment is written anew, not added to"
    assert "merged into `main`" in comments[0]


def test_a_failed_required_check_is_never_merged(
    tmp_path: Path, kind: str, server: ForgeServer
) -> None:
    made = shop(tmp_path, kind, server)
    server.required = required(kind)
    made.deploy()
    failed = "failure" if kind == "github" else "failed"
    server.statuses[server.head("selfheal/r1")][server.required[0]] = failed
    deployed = made.deploy()
    assert isinstance(deployed, Deployment)
    assert "required checks did not pass" in deployed.reason
    assert made.log() == ["Prices"]


def test_what_the_forge_itself_refuses_is_not_merged_and_told_in_its_words(
    tmp_path: Path, kind: str, server: ForgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shop(tmp_path, kind, server)
    monkeypatch.setattr(type(forge_of(made)), "required_checks", lambda *_: [])
    server.required = required(kind)
    deployed = made.deploy()
    assert isinstance(deployed, Deployment)
    assert server.refused[0].rstrip(".") in deployed.reason
    assert made.log() == ["Prices"]


def test_an_open_request_is_brought_up_to_date_and_forks_are_not_taken_for_ours(
    tmp_path: Path, kind: str, server: ForgeServer
) -> None:
    made = shop(tmp_path, kind, server, required_checks=["human"])
    made.deploy()
    (pull,) = server.pulls
    first = server.head("selfheal/r1")
    server.open(**{**pull, "number": 2, "fork": True})
    made.deploy("r2")
    assert len(server.pulls) == 2
    assert server.head("selfheal/r1") != first
    assert "selfheal patch --run r2" in pull["body"]
    assert "selfheal patch --run r1" in server.pull(2)["body"]


def test_a_revert_is_marked_and_remembered(tmp_path: Path, kind: str, server: ForgeServer) -> None:
    made = shop(tmp_path, kind, server)
    made.deploy()
    forge = forge_of(made)
    forge.mark_reverted(1, "a" * 40, "errors doubled")
    found = forge.find_pull("selfheal/r1")
    assert found is not None
    assert found.state == "reverted"
    assert "errors doubled" in [*server.comments.values()][-1]["body"]
    refused = made.deploy("r2")
    assert "the very same change" in refused.reason


def test_a_protected_base_gets_a_pull_request_that_takes_the_merge_back(
    tmp_path: Path, kind: str, server: ForgeServer
) -> None:
    made = shop(tmp_path, kind, server)
    deployed = made.deploy()
    assert deployed.merge is not None
    assert deployed.merge.commit is not None
    forge = forge_of(made)
    pull = forge.find_pull("selfheal/r1")
    assert pull is not None
    protects(server.bare, "main")
    who = Identity("selfheal", "selfheal@localhost", "@1704164645 +0000")
    workshop = Workshop(tmp_path / "scratch", made.world.repository, who)
    reverted = revert_merge(
        FolderEffects(tmp_path / "effects"),
        forge,
        workshop,
        pull,
        merge=deployed.merge.commit,
        reason="errors doubled",
    )
    assert reverted.commit is None
    assert "main refused the push" in reverted.reason
    proposed = forge.find_pull("selfheal/r1-revert")
    assert proposed is not None
    assert (proposed.state, proposed.number) == ("open", reverted.pull_request)
    assert workshop.diff(proposed.head, f"{deployed.merge.commit}^1") == ""
    told = forge.find_pull("selfheal/r1")
    assert told is not None
    assert told.state == "merged", "nothing took it back yet"


def protects(repository: Path, branch: str) -> None:
    """A remote that takes pushes to a branch from nobody."""
    hook = repository / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n[ "$1" != refs/heads/{branch} ]\n')
    hook.chmod(0o755)


def test_a_wrong_token_a_missing_one_and_a_dead_server_are_told_with_what_helps(
    tmp_path: Path, kind: str, server: ForgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shop(tmp_path, kind, server)
    monkeypatch.setenv(f"{kind.upper()}_TOKEN", "wrong")
    with pytest.raises(RepositoryError, match="answered 401"):
        forge_of(made)
    monkeypatch.delenv(f"{kind.upper()}_TOKEN")
    with pytest.raises(ConfigurationError, match=f"{kind.upper()}_TOKEN"):
        forge_of(made)


def test_a_comment_of_somebody_else_that_quotes_ours_is_left_alone(
    tmp_path: Path, kind: str, server: ForgeServer
) -> None:
    if kind == "gitlab":
        pytest.skip("the server of the test knows owners of comments for GitHub alone")
    made = shop(tmp_path, kind, server, required_checks=["human"])
    made.deploy()
    server.comments[1] |= {"foreign": True, "body": "<!-- selfheal progress -->\nhm?"}
    forge_of(made).comment(1, "<!-- selfheal progress -->\nnew")
    assert [each["body"][-3:] for each in server.comments.values()] == ["hm?", "new"]


@pytest.mark.parametrize(
    ("address", "host", "project", "kind"),
    [
        ("git@github.com:shop/service.git", "github.com", "shop/service", "github"),
        ("https://github.com/shop/service", "github.com", "shop/service", "github"),
        ("https://gitlab.shop.example/a/b/c.git", "gitlab.shop.example", "a/b/c", "gitlab"),
        ("ssh://git@github.shop.example:22/a/b.git", "github.shop.example", "a/b", "github"),
        ("https://code.shop.example/a/b.git", "code.shop.example", "a/b", "unknown"),
        ("/srv/github/x.git", "", "", "local"),
    ],
)
def test_the_address_of_a_remote_says_what_it_is(
    address: str, host: str, project: str, kind: str
) -> None:
    assert host_of(address) == host
    assert kind_of(address, DeployConfig()) == kind
    if host:
        assert project_of(address) == project


def test_a_token_goes_to_its_origin_alone_and_not_by_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    found = git_access("https://github.com/shop/service.git", "github", ForgeConfig())
    keys = [value for name, value in found.items() if name.startswith("GIT_CONFIG_KEY")]
    assert "http.https://github.com/.extraHeader" in keys
    assert git_access("/srv/x.git", "local", ForgeConfig()) == {}
    ssh = git_access("git@github.com:shop/service.git", "github", ForgeConfig())
    assert not any("extraHeader" in value for value in ssh.values())
