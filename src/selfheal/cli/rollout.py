"""``selfheal rollout``: where a rollout stands, and what a human says to it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import open_project, project_options
from selfheal.errors import InvalidInput

if TYPE_CHECKING:
    from selfheal.delivery.rollout_record import RolloutFolder, RolloutRecord


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("status", "abort", "promote"))
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="the fleet's folder (default: deploy.fleet, else rollout/ of the artifacts)",
    )
    parser.add_argument("--by", default="", metavar="NAME", help="who decides")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    project_options(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.delivery.rollout_record import RolloutFolder

    folder = RolloutFolder(arguments.folder or _folder(arguments))
    record = folder.record()
    if record is None:
        raise InvalidInput(
            "there is no rollout here.",
            where=str(folder.folder),
            hint="Name the fleet's folder: selfheal rollout status FOLDER.",
        )
    if arguments.action != "status":
        record = _decide(arguments, folder, record)
        console.note(f"go on with: selfheal resume {record.run_id}")
    in_hand = folder.is_in_hand()
    told: dict[str, Any] = {**record.model_dump(mode="json"), "in_hand": in_hand}
    console.data(told, lambda: _text(record, in_hand))
    return "succeeded"


def _folder(arguments: Namespace) -> Path:
    project = open_project(arguments)
    fleet = project.settings.deploy.fleet
    return Path(fleet) if fleet else project.artifacts / "rollout"


def _decide(arguments: Namespace, folder: RolloutFolder, record: RolloutRecord) -> RolloutRecord:
    """Leave the request; where nobody has the rollout in hand, an abort moves traffic at once."""
    from selfheal.delivery.rollout_record import ENDED, Request
    from selfheal.delivery.rollout_steward import plan_of, take_back, target_of

    if record.state in ENDED:
        raise InvalidInput(f"the rollout to {record.new} has ended: {record.reason}.")
    if not arguments.by:
        raise InvalidInput("a decision has a name to it.", hint="Add --by NAME.")
    if arguments.action == "promote" and record.state != "asking":
        raise InvalidInput(
            f"the rollout does not ask: it is {record.state}.",
            hint="What is not decided is never promoted; selfheal resume watches it on.",
        )
    request = Request(action=arguments.action, by=arguments.by, reason=arguments.reason)
    folder.request(request)
    if request.action == "abort" and record.state != "returned":
        with folder.in_hand() as held:
            present = folder.record()
            if held and present is not None and (folder.folder / "steward.json").exists():
                target = target_of(plan_of(folder), folder)
                take_back(folder, target, present, request.told, failed=True)
    return folder.record() or record


def _text(record: RolloutRecord, in_hand: bool) -> str:
    from selfheal.delivery.rollout import told_foreseen

    hands = "in the hands of a run" if in_hand else "in nobody's hands"
    lines = [
        f"{record.old} → {record.new} (run {record.run_id}, commit {record.commit[:12]})",
        f"{record.state} at {record.percent} %, {hands}",
    ]
    if record.reason:
        lines.append(record.reason)
    lines += [f"{percent:>4} %: {told_foreseen(seen)}" for percent, seen in record.seen.items()]
    return "\n".join(lines)
