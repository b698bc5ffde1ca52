"""The one way that selfheal runs git: by its plumbing, under nobody's configuration.

GitPython serves where a person's own settings count (`selfheal init` reads remotes and
branches with it). Here they must not: it hands the whole environment on to git, and a
GIT_DIR or GIT_CONFIG_COUNT inherited from a hook would silently point at another
repository or run a stranger's filter.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from selfheal.errors import RepositoryError

_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.quotePath=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "safe.directory=*",
    "init.defaultBranch=main",
    "gc.auto=0",
    "commit.gpgSign=false",
    "advice.detachedHead=false",
    "diff.external=",
)
_OPTIONS = tuple(part for setting in _SAFE for part in ("-c", setting))


def git_bytes(
    folder: Path,
    *arguments: str,
    input: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
    hint: str | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git in `folder` without anyone's configuration, hooks or prompts.

    `environment` is added to a minimal one. Raises RepositoryError with git's own last
    words and `hint`, unless `check` is False; always where git cannot be started.
    """
    try:
        done = subprocess.run(
            ["git", *_OPTIONS, *arguments],
            cwd=folder,
            env=_environment() | dict(environment or {}),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise RepositoryError(
            f"git could not be started: {error.strerror}.",
            where=str(folder),
            hint="Install git and name a folder.",
        ) from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[:2000]
        reason = said.removeprefix("fatal: ").rstrip(".") or f"exit code {done.returncode}"
        raise RepositoryError(f"git {arguments[0]} failed: {reason}.", where=str(folder), hint=hint)
    return done


def git(
    folder: Path,
    *arguments: str,
    input: str | bytes | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
    hint: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """`git_bytes` for text: UTF-8, with surrogate escapes so that odd bytes survive."""
    data = input.encode("utf-8", "surrogateescape") if isinstance(input, str) else input
    done = git_bytes(
        folder, *arguments, input=data, environment=environment, check=check, hint=hint
    )
    out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }
