"""How far code under test is confined: the best of three levels that works here.

* **bubblewrap** (Linux namespaces): a file system made of the system's programs, the
  Python environment and the folders that the command works in, its own processes, an
  own network, no capabilities.
* **landlock** (landlock(7) and seccomp(2)): the same files and no sockets at all, in the
  machine's own namespaces.
* **limits**: resource limits and a cleared environment. That is no isolation, is never
  called so, and is refused unless ``sandbox.allow_unisolated`` is set.

At every level a filter refuses the system calls that no test suite needs, and a
supervisor ends all descendants and counts what they use (`selfheal.sandbox.process`).
The settings are those of the section ``sandbox``; the processes of a run get them as
``SELFHEAL_SANDBOX__*`` in their environment.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from selfheal.config import SandboxConfig
from selfheal.errors import ConfigurationError
from selfheal.sandbox import launcher, supervisor
from selfheal.sandbox.surroundings import existing, needed_to_run, scratch_git

Level = Literal["bubblewrap", "landlock", "limits"]

BUBBLEWRAP = "bubblewrap: own file system, own processes, no network"
BUBBLEWRAP_SHARED_NETWORK = "bubblewrap: own file system, own processes, loopback to named ports"
LANDLOCK = "Landlock and seccomp: own files only, no network"
LANDLOCK_SHARED_NETWORK = "Landlock and seccomp: own files only, loopback to named ports"
LIMITS_ONLY = "process limits only, not isolated"

TMP_BYTES = 512 * 1024**2
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def settings() -> SandboxConfig:
    """The section ``sandbox`` as it stands in this process's environment."""
    values: dict[str, object] = {}
    for name in SandboxConfig.model_fields:
        text = os.environ.get(f"SELFHEAL_SANDBOX__{name.upper()}")
        if text is not None:
            values[name] = text if name == "level" else json.loads(text)
    return SandboxConfig.model_validate(values)


@lru_cache(maxsize=1)
def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here, or None. Asked once per process."""
    found = shutil.which("bwrap")
    if found is None:
        return None
    trial = [found, *_namespaces(network=False), "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return found if _works(trial) else None


@lru_cache(maxsize=1)
def landlock() -> bool:
    """Whether Landlock and the system call filter work here. Asked once per process."""
    if sys.platform != "linux" or platform.machine() not in launcher.MACHINES:
        return False
    if launcher.landlock_version() < 1:
        return False
    root = Path(os.sep)
    return _works(_launched(["true"], read=[root], write=[], connect=None, sockets="none"))


def level() -> Level:
    """The level in force: the configured one, else the best that works.

    Raises ConfigurationError where the configured one does not work here.
    """
    wanted = settings().level
    if wanted == "auto":
        return "bubblewrap" if bubblewrap() else "landlock" if landlock() else "limits"
    works = {"bubblewrap": bubblewrap() is not None, "landlock": landlock(), "limits": True}
    if not works[wanted]:
        raise ConfigurationError(
            f"{wanted} does not work on this machine.",
            where="sandbox.level",
            hint="Set it to auto to take what works.",
        )
    return wanted


def isolation(*, network: bool = False) -> str:
    """The honest name of the confinement that `confined` gives."""
    names = {
        "bubblewrap": (BUBBLEWRAP, BUBBLEWRAP_SHARED_NETWORK),
        "landlock": (LANDLOCK, LANDLOCK_SHARED_NETWORK),
        "limits": (LIMITS_ONLY, LIMITS_ONLY),
    }
    return names[level()][network]


def confinement() -> str:
    """How tests and services are confined here, for people; the same whenever it is asked."""
    chosen = level()
    if chosen == "limits":
        return LIMITS_ONLY
    files = {
        "bubblewrap": "bubblewrap: own file system, own processes",
        "landlock": "Landlock and seccomp: own files only",
    }
    reach = "named TCP ports" if launcher.landlock_version() >= 4 else "the machine's TCP ports"
    return f"{files[chosen]}; tests without network, services may reach {reach}"


def is_isolated() -> bool:
    """Whether code under test is kept from the rest of the machine."""
    return level() != "limits"


def refusal() -> str | None:
    """Why code under test may not run here at all, None if it may."""
    if is_isolated() or settings().allow_unisolated:
        return None
    return (
        "nothing isolates code on this machine: install bubblewrap (bwrap), use a kernel with "
        "Landlock (5.13 or later), or set sandbox.allow_unisolated to true"
    )


def confined(
    command: Sequence[str],
    *,
    cwd: Path,
    writable: Sequence[Path],
    network: bool,
    ports: Sequence[int] = (),
) -> list[str]:
    """`command` as it is to be started to be confined at the level in force.

    `writable` are the folders besides `cwd` that it may write; the programs, the Python
    environment of the command and, read-only, the git data of a `Worktree` are there as
    well, and nothing else. `network` lets it serve on the machine's network and connect
    to `ports` there, which a service needs to reach a receiver on loopback.
    """
    chosen = level()
    write = existing([cwd, *writable])
    read = existing([*needed_to_run(command[0], cwd), *scratch_git(cwd)])
    connect = sorted({*ports, *settings().ports}) if network else None
    if connect is not None and launcher.landlock_version() < 4:
        connect = None
    if chosen == "bubblewrap":
        sockets = "stream" if network else "private"
        inner = _launched(
            command, read=None, write=None, connect=connect, sockets=sockets, leave_root=True
        )
        return [*_bubblewrapped(cwd, read, write, network=network), "--", *inner]
    sockets = "stream" if network else "none"
    if chosen == "landlock":
        devices = existing(Path("/dev") / name for name in DEVICES)
        proc = existing([Path("/proc"), Path("/sys/devices/system/cpu")])
        return _launched(
            command,
            read=[*read, *proc],
            write=[*write, *devices],
            connect=connect,
            sockets=sockets,
            leave_root=True,
        )
    if sys.platform == "linux" and os.getuid() == 0:
        # Nothing is isolated so; but the number of processes can be limited, and what
        # belongs to root cannot be signalled or traced.
        return _launched(
            command, read=None, write=None, connect=None, sockets=None, leave_root=True
        )
    return list(command)


def _bubblewrapped(
    cwd: Path, read: Sequence[Path], write: Sequence[Path], *, network: bool
) -> list[str]:
    program = bubblewrap()
    assert program is not None
    arguments = [program, *_namespaces(network=network), "--new-session"]
    arguments += ["--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    arguments += ["--size", str(TMP_BYTES), "--tmpfs", "/dev/shm"]
    arguments += ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    for folder in read:
        arguments += ["--ro-bind", str(folder), str(folder)]
    for folder in write:
        arguments += ["--bind", str(folder), str(folder)]
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(cwd)]


def _namespaces(*, network: bool) -> list[str]:
    """Root makes no user namespace, in which it would stay root, but becomes someone else."""
    flags = ["--die-with-parent", "--unshare-ipc", "--unshare-pid", "--unshare-uts"]
    flags += ["--unshare-cgroup-try", *(() if network else ("--unshare-net",))]
    if os.getuid() != 0:
        return [*flags, "--unshare-user", "--cap-drop", "ALL"]
    kept = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_OVERRIDE")
    return [*flags, "--cap-drop", "ALL", *(part for name in kept for part in ("--cap-add", name))]


def _launched(
    command: Sequence[str],
    *,
    read: Sequence[Path] | None,
    write: Sequence[Path] | None,
    connect: Sequence[int] | None,
    sockets: str | None,
    leave_root: bool = False,
) -> list[str]:
    user = supervisor.FIRST_USER + secrets.randbelow(supervisor.FIRST_USER)
    specification = {
        "read": None if read is None else [str(path) for path in read],
        "write": None if write is None else [str(path) for path in write],
        "connect": connect,
        "sockets": sockets,
        "user": user if leave_root else None,
        "processes": settings().processes + supervisor.SPARE_PROCESSES,
    }
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", launcher.__file__, json.dumps(specification), *command]


def _works(trial: Sequence[str]) -> bool:
    try:
        done = subprocess.run(trial, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


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
        "GIT_CONFIG_NOSYSTEM": "1",
    }
