"""The shop's history, replayed into a git repository.

`examples/shop/service` is release 1.0, `examples/shop/history` how it got there and what
came after: `v1.0.yaml` lists the commits up to 1.0, the mailbox patches those of 1.1. A
seed chooses one slow and one failing change, most of the innocent ones, and their order.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_string
from email.message import Message
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from selfheal.errors import NotFound, RepositoryError

INNOCENT_COMMITS = 7
FIRST_COMMIT_OF_1_1 = datetime.fromisoformat("2025-03-03T09:40:00+01:00")


@dataclass(frozen=True)
class Fault:
    """One change that makes the shop sick; known to the demo's tests and to nobody else.

    `operation` is the entry span (method and route) that suffers, `function` in `file`
    the code at fault, `exception` the class that it raises, None for a slow one.
    """

    name: str
    operation: str
    function: str
    file: str
    exception: str | None


@dataclass(frozen=True)
class ShopRepository:
    """A clone of the shop at 1.1 and the bare repository that it came from.

    `faults` maps the planted faults to their commits.
    """

    path: Path
    remote: Path
    good_commit: str
    bad_commit: str
    faults: Mapping[Fault, str]


@dataclass(frozen=True)
class Change:
    """One commit to come: who, what for, and the patch."""

    author: str
    message: str
    patch: str
    headers: Mapping[str, str]
    name: str

    @classmethod
    def read(cls, path: Path) -> Change:
        """Read a patch in the mailbox format of ``git format-patch``."""
        mail: Message = message_from_string(path.read_text("utf-8"))
        body, patch = str(mail.get_payload()).split("---\n", 1)
        message = f"{mail['Subject']}\n\n{body.strip()}".strip()
        headers = {key: str(value) for key, value in mail.items()}
        return cls(headers["From"], message, patch, headers, path.stem)

    @property
    def fault(self) -> Fault:
        return Fault(
            name=self.name,
            operation=self.headers["X-Operation"],
            function=self.headers["X-Function"],
            file=self.headers["X-File"],
            exception=self.headers.get("X-Exception"),
        )


def shop_folder() -> Path:
    """The example as it ships in the package, or as it lies in the source tree.

    Raises NotFound where neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_examples" / "shop", package.parents[1] / "examples" / "shop"):
        if (folder / "history").is_dir():
            return folder
    raise NotFound(
        "the example shop is not part of this installation.",
        hint="Install selfheal from its wheel or run it from a clone.",
    )


def planted_faults() -> list[Fault]:
    """Every fault that a seed can choose, slow ones first."""
    history = shop_folder() / "history"
    return [change.fault for kind in ("slow", "failing") for change in read_all(history / kind)]


def read_all(folder: Path) -> list[Change]:
    return [Change.read(path) for path in sorted(folder.glob("*.patch"))]


def choose(seed: int, names: Iterable[str] | None = None) -> list[Change]:
    """The changes of release 1.1 in the order that `seed` gives them.

    `names` plants these faults in place of those that the seed would choose.
    """
    history = shop_folder() / "history"
    draw = random.Random(seed)
    slow, failing = read_all(history / "slow"), read_all(history / "failing")
    planted = [draw.choice(slow), draw.choice(failing)]
    if names is not None:
        known = {change.name: change for change in slow + failing}
        planted = [known[name] for name in names]
    innocent = draw.sample(read_all(history / "innocent"), INNOCENT_COMMITS)
    changes = planted + innocent
    draw.shuffle(changes)
    return [*changes, Change.read(history / "release.patch")]


def build_repository(
    folder: Path, seed: int = 0, *, faults: Iterable[str] | None = None
) -> ShopRepository:
    """Make ``folder/forge.git`` (bare) and ``folder/repo`` (its clone), tagged v1.0 and v1.1.

    Equal seeds give equal commit ids. `faults` names the faults to plant in place of
    the seed's choice. Raises RepositoryError if git fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remote, path = folder / "forge.git", folder / "repo"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", remote.name)
    git(folder, "init", "--quiet", "--initial-branch=main", path.name)
    good = replay_first_release(path)
    planted = {}
    moment = FIRST_COMMIT_OF_1_1
    for number, change in enumerate(choose(seed, faults)):
        git(path, "apply", "--3way", "--index", "-", content=change.patch)
        sha = commit(path, change.author, moment.isoformat(), change.message)
        if "X-Operation" in change.headers:
            planted[change.fault] = sha
        moment += timedelta(hours=19 + 5 * (number % 3), minutes=7 * number)
    git(path, "tag", "v1.1")
    git(path, "remote", "add", "origin", str(remote.resolve()))
    git(path, "push", "--quiet", "--set-upstream", "origin", "main", "--tags")
    return ShopRepository(path, remote, good, git(path, "rev-parse", "HEAD").strip(), planted)


def replay_first_release(path: Path) -> str:
    """Commit the service piece by piece up to 1.0; return the commit that v1.0 names."""
    import yaml

    shop = shop_folder()
    steps: list[dict[str, Any]] = yaml.safe_load(
        (shop / "history" / "v1.0.yaml").read_text("utf-8")
    )
    present: set[str] = set()
    for step in steps:
        present.update(step["files"])
        for file in step["files"]:
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shop / "service" / file, path / file)
        application = (shop / "service" / "shop" / "app.py").read_text("utf-8")
        (path / "shop" / "app.py").write_text(with_parts(application, present), "utf-8")
        git(path, "add", "--all")
        commit(path, step["author"], step["date"].isoformat(), step["subject"])
    git(path, "tag", "v1.0")
    return git(path, "rev-parse", "HEAD").strip()


def with_parts(application: str, present: set[str]) -> str:
    """The application without the lines of parts whose module is not there yet."""
    kept = []
    for line in application.splitlines(keepends=True):
        part = re.search(r"^from shop\.(\w+) import blueprint|register_blueprint\((\w+)\)", line)
        if part is None or f"shop/{part[1] or part[2]}.py" in present:
            kept.append(line)
    return "".join(kept)


def commit(path: Path, author: str, date: str, message: str) -> str:
    """Commit the index as `author` at `date`; return the new commit's id."""
    name, address = parseaddr(author)
    identity = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", address), ("DATE", date))
    }
    git(path, "commit", "--quiet", "--file=-", content=message, environment=identity)
    return git(path, "rev-parse", "HEAD").strip()


def git(
    folder: Path,
    *arguments: str,
    content: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run git without the user's configuration, hooks and signing; return what it prints."""
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=content,
        env={**inherited, **quiet, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RepositoryError(
            f"git {arguments[0]} failed while the shop's history was replayed: {done.stderr.strip()}",
            where=str(folder),
        )
    return done.stdout
