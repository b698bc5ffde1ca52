"""How far code under test is confined, by what works on this machine.

With bubblewrap (a setuid-free sandbox over Linux namespaces) a command sees the file
system read-only but for its own folders, none of the user's key folders, no other
processes and, unless it must reach a service on loopback, no network. Without it a
command gets a cleared environment, a private home, resource limits and a supervisor
that ends all its descendants; that is no isolation and is never called so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

BUBBLEWRAP = "bubblewrap: read-only file system, own processes, no network"
BUBBLEWRAP_SHARED_NETWORK = "bubblewrap: read-only file system, own processes, shared network"
LIMITS_ONLY = "process limits only, not isolated"

HIDDEN = (".ssh", ".aws", ".gnupg", ".kube", ".docker", ".config/gh", ".config/gcloud")


@lru_cache(maxsize=1)
def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here, or None. Asked once per process."""
    found = shutil.which("bwrap")
    if found is None:
        return None
    trial = [found, *_namespaces(network=False), "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        done = subprocess.run(trial, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found if done.returncode == 0 else None


def isolation(*, network: bool = False) -> str:
    """The honest name of the confinement that `confined` gives."""
    if bubblewrap() is None:
        return LIMITS_ONLY
    return BUBBLEWRAP_SHARED_NETWORK if network else BUBBLEWRAP


def confinement() -> str:
    """How tests and services are confined here, for people; the same whenever it is asked."""
    if bubblewrap() is None:
        return LIMITS_ONLY
    return (
        "bubblewrap: read-only file system, own processes; "
        "tests without network, services on the machine's network to be reached on loopback"
    )


def is_isolated() -> bool:
    """Whether code under test is kept from the rest of the machine."""
    return bubblewrap() is not None


def confined(
    command: Sequence[str], *, cwd: Path, writable: Sequence[Path], network: bool
) -> list[str]:
    """`command` inside bubblewrap where that works, else the command as it is.

    `writable` are the folders besides `cwd` that it may write. `network` lets it share
    the machine's network, which a service needs to reach a receiver on loopback.
    """
    program = bubblewrap()
    if program is None:
        return list(command)
    arguments = [program, *_namespaces(network=network), "--ro-bind", "/", "/"]
    arguments += ["--dev", "/dev", "--proc", "/proc"]
    for name in HIDDEN:
        folder = Path.home() / name
        if folder.is_dir():
            arguments += ["--tmpfs", str(folder)]
    for folder in (cwd, *writable):
        arguments += ["--bind", str(folder), str(folder)]
    return [*arguments, "--chdir", str(cwd), "--", *command]


def _namespaces(*, network: bool) -> list[str]:
    flags = ["--die-with-parent", "--unshare-all"]
    return [*flags, "--share-net"] if network else flags


def cleared_environment(home: Path) -> dict[str, str]:
    """The whole environment of a confined command: nothing of the starter's but PATH.

    Hash seeds and time zone are fixed so that equal code behaves equally.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
