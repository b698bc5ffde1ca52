"""What git needs to reach a remote: its protocol and the token, and a scratch repository with them."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import urlparse

from selfheal.config import DeployConfig, ForgeConfig
from selfheal.delivery.forge import host_of, kind_of, local_path, remote_address
from selfheal.delivery.workshop import Identity, Workshop

# Environment variable and user name of a token, as the two document them.
_TOKENS = {"github": ("GITHUB_TOKEN", "x-access-token"), "gitlab": ("GITLAB_TOKEN", "oauth2")}


def token_of(kind: str, config: ForgeConfig) -> str | None:
    """The token for a kind of forge, None where its variable is not set."""
    return os.environ.get(config.token_variable or _TOKENS[kind][0]) or None


def git_access(address: str, kind: str, config: ForgeConfig) -> dict[str, str]:
    """The environment of git for a remote; empty for a folder on this machine.

    The token goes by the environment, where other users of the machine cannot read it as
    they could read a command line, and to the remote's own origin alone.
    """
    if local_path(address) is not None or not host_of(address):
        return {}
    settings = [("protocol.https.allow", "always"), ("protocol.ssh.allow", "always")]
    parsed = urlparse(address)
    token = token_of(kind, config) if kind in _TOKENS else None
    if parsed.scheme == "https" and token:
        word = base64.b64encode(f"{_TOKENS[kind][1]}:{token}".encode()).decode()
        origin = f"https://{parsed.netloc.rpartition('@')[2]}/"
        settings.append((f"http.{origin}.extraHeader", f"Authorization: Basic {word}"))
    environment = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    agent = os.environ.get("SSH_AUTH_SOCK")
    return environment | ({"SSH_AUTH_SOCK": agent} if agent else {})


def workshop_for(repository: Path, config: DeployConfig, folder: Path, date: str) -> Workshop:
    """A scratch repository at `folder` that reaches ``deploy.remote`` and commits as configured.

    `date` is that of its commits, as git takes it.
    """
    identity = Identity(config.author_name, config.author_email, date, config.sign_off)
    address = remote_address(repository, config.remote) or ""
    access = git_access(address, kind_of(address, config), config.forge)
    return Workshop(folder, repository, identity, access)
