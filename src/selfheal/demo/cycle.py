"""``selfheal demo``: a real service gets sick and is healed, start to end.

Everything happens as a user would do it: the commands are the real ones, typed for you
and shown before they run.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import yaml

from selfheal.demo.history import ShopRepository, build_repository, git
from selfheal.demo.production import SERVICE, Production, require_packages
from selfheal.demo.story import Story, health_of, latest_run, tell
from selfheal.errors import InvalidInput

MARK = "selfheal-demo.json"
DONE, FAILED, WAITING = 0, 1, 3
GATE = {"step_seconds": 25, "minimum_requests": 30}
OBSERVE_SECONDS = 8


def run_demo(
    folder: Path,
    *,
    seed: int = 0,
    approve: Literal["auto", "ask"] = "auto",
    seconds: float = 25.0,
) -> int:
    """Build the shop's repository and production in `folder`, and heal it; the exit code.

    `seed` chooses what is sick. `approve` ask lets the person at the terminal decide,
    auto decides in a person's place. `seconds` is how long both releases are watched
    before the cycle begins. Progress goes to standard error, the table to standard
    output. 0: healed and deployed; 1: not; else what the command returned. Raises
    MissingExtra and InvalidInput before anything is written or deleted.
    """
    require_packages()
    folder = fresh_folder(folder, seed)
    repository = build_repository(folder, seed)
    show_history(repository)
    with Production(folder / "production", repository) as production:
        say(f"Two releases under real traffic for {seconds:.0f} s; 1.1 then stays in production.")
        answers = production.record_releases(seconds=seconds, seed=seed)
        say("Visitors were answered: " + ", ".join(f"{n}x {code}" for code, n in answers.items()))
        write_configuration(folder, production)
        return heal(folder, production, seed=seed, approve=approve)


def heal(folder: Path, production: Production, *, seed: int, approve: str) -> int:
    """One cycle by the command line, with the approval in the middle; tell its story."""
    code = selfheal(folder, "run", "--repo", "repo", "--telemetry", "production/telemetry")
    offsets = production.fleet.offsets()
    if code == WAITING:
        run = latest_run(folder / "artifacts")
        code = selfheal(folder, decide(run, approve), run.name, "--by", approver(approve))
        if code == DONE:
            with production.traffic(seed=seed + 1):
                code = selfheal(folder, "resume", run.name)
    story = Story.read(latest_run(folder / "artifacts"))
    print(tell(story, health_after=health_after(folder, production, offsets)), flush=True)
    deployed = story.deployment is not None and story.deployment.outcome == "deployed"
    return code if code or deployed else FAILED


def fresh_folder(folder: Path, seed: int) -> Path:
    """An empty folder that is marked as the demo's; an earlier demo's is made anew.

    Raises InvalidInput where the folder holds something else, or cannot be made.
    """
    folder = folder.absolute()
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise InvalidInput(
                "the demo needs an empty folder, or one of an earlier demo.",
                where=str(folder),
                hint="Choose another: selfheal demo --folder FOLDER",
            )
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"no folder can be made here ({error.strerror}).",
            where=str(folder),
            hint="Choose another: selfheal demo --folder FOLDER",
        ) from error
    (folder / MARK).write_text(json.dumps({"seed": seed}) + "\n", "utf-8")
    return folder


def show_history(repository: ShopRepository) -> None:
    log = ["log", "--format=%h %an: %s", "v1.0..v1.1"]
    count = git(repository.path, "rev-list", "--count", "HEAD").strip()
    say(f"A shop with {count} commits in {repository.path}; since release 1.0:")
    say(git(repository.path, *log).rstrip())


def write_configuration(folder: Path, production: Production) -> None:
    """The selfheal.yaml that a user of such a service would write."""
    configuration = {
        "service": SERVICE.model_dump(mode="json", exclude_defaults=True),
        "tests": {"sources": ["shop"], "client_fixture": "client"},
        "deploy": {
            "target": "processes",
            "fleet": str(production.folder),
            "steps": [10, 25, 100],
            "gate": GATE,
        },
        "learn": {"observe_seconds": OBSERVE_SECONDS},
    }
    text = yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True)
    (folder / "selfheal.yaml").write_text(text, "utf-8")


def decide(run: Path, approve: str) -> str:
    """The verb of the decision: the person's at the terminal, or approve in their place."""
    say(f"The fix waits for a review: {run / 'reports' / 'pull_request.md'}")
    if approve != "ask":
        return "approve"
    sys.stderr.write("Approve it? [y/N] ")
    sys.stderr.flush()
    return "approve" if sys.stdin.readline().strip().lower() in ("y", "yes") else "reject"


def approver(approve: str) -> str:
    import getpass

    if approve != "ask":
        return "demo"
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "you"


def selfheal(folder: Path, *arguments: str) -> int:
    """Show and run one command of selfheal in `folder`; its exit code."""
    say(f"$ {shlex.join(['selfheal', *arguments])}")
    command = [sys.executable, "-m", "selfheal.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode


def health_after(folder: Path, production: Production, offsets: dict[str, int]) -> float | None:
    """The health of the release that serves now, by what it told since the rollout began."""
    from selfheal.telemetry import ingest

    percents = production.fleet.routing().percents
    files = production.fleet.telemetry_since(offsets, folder / "after" / "received")
    if not files or not percents:
        return None
    live = ingest(files, folder / "after", "dataset").dataset
    return health_of(live, "shop", max(percents, key=percents.__getitem__))


def say(text: str) -> None:
    """Tell on standard error what happens; standard output is for the table."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
