"""What a confined command needs to see of the machine: programs, libraries, its Python.

Nothing of it is run to find out: a virtual environment is read as its pyvenv.cfg, .pth
files and direct_url.json tell (the site module and PEP 610), for the environment of a
repository under repair may be part of what is not trusted.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

PROGRAMS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"),
    *("/nix/store", "/gnu/store", "/run/current-system"),
)
# Of /etc what libraries look up: names, certificates, fonts; no keys and no passwords.
ETC = (
    *("alternatives", "ca-certificates", "pki/ca-trust", "pki/tls/certs", "ssl/certs"),
    *("fonts", "magic", "mime.types", "python3", "ssl/openssl.cnf"),
    *("gai.conf", "host.conf", "hostname", "hosts", "nsswitch.conf", "protocols", "services"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone"),
    *("group", "os-release", "passwd"),
)


def needed_to_run(program: str, cwd: Path) -> list[Path]:
    """Files and folders to be read by `program`, found from `cwd` or on the PATH."""
    named = str(cwd / program) if os.sep in program else shutil.which(program)
    return [
        *map(Path, PROGRAMS),
        *(Path("/etc") / name for name in ETC),
        *(Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry),
        # The launcher and the scripts that run tests, with the interpreter for them.
        Path(__file__).parent,
        *_python(os.path.realpath(sys.executable)),
        *(_beside(named) if named else ()),
    ]


def scratch_git(cwd: Path) -> list[Path]:
    """The git data of a checkout that `selfheal.sandbox.worktree` made at `cwd`."""
    folder = git_folder(cwd)
    borrowed = folder / "objects" / "info" / "alternates"
    if not borrowed.is_file():
        return []
    return [folder, *(Path(line) for line in borrowed.read_text().splitlines() if line)]


def git_folder(checkout: Path) -> Path:
    """Where a `Worktree` keeps its git data: beside the checkout, out of reach of its code."""
    return checkout.with_name(f".{checkout.name}.git")


def existing(paths: Iterable[Path]) -> list[Path]:
    """Those that are there, once each, sorted, without what lies in another of them."""
    found = {path.absolute() for path in paths if os.access(path, os.F_OK)} - {Path(os.sep)}
    return sorted(path for path in found if not found & set(path.parents))


def _beside(program: str) -> Iterator[Path]:
    """The environment of a Python, or of the script in an environment that has one."""
    place = Path(program)
    yield place
    for python in (place, place.with_name("python"), place.with_name("python3")):
        if python.name.startswith("python") and os.access(python, os.X_OK):
            yield from _python(str(python))
            return


@lru_cache(maxsize=32)
def _python(python: str) -> tuple[Path, ...]:
    """The folders of an interpreter: its environment, its base, and what these point to."""
    found: list[Path] = []
    places = [Path(python), Path(os.path.realpath(python))]
    configuration = places[0].parent.parent / "pyvenv.cfg"
    if os.access(configuration, os.R_OK):
        for line in configuration.read_text(errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                places.append(Path(value.strip()) / "python")
    for place in places:
        prefix = place.parent.parent
        found += _parts(prefix)
        for site in sorted(prefix.glob("lib*/python3*/site-packages")):
            found += _pointed_to(site)
    return tuple(dict.fromkeys(found))


def _parts(prefix: Path) -> list[Path]:
    """The prefix itself, but where it is a home or holds one: then its own folders."""
    if Path.home().absolute().is_relative_to(prefix):
        return [prefix / name for name in ("bin", "lib", "lib64", "pyvenv.cfg")]
    return [prefix]


def _pointed_to(site: Path) -> Iterator[Path]:
    """Folders outside that a site-packages folder makes importable."""
    listed = [
        Path(line)
        for file in sorted(site.glob("*.pth"))
        if os.access(file, os.R_OK)
        for line in file.read_text(errors="replace").splitlines()
        if line.startswith(os.sep) and os.access(line, os.X_OK)
    ]
    yield from listed
    for file in sorted(site.glob("*.dist-info/direct_url.json")):
        try:
            told = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        address = urlsplit(str(told.get("url", "")))
        project = Path(unquote(address.path))
        by_hook = not any(path.is_relative_to(project) for path in listed)
        if address.scheme == "file" and told.get("dir_info", {}).get("editable") and by_hook:
            yield project
