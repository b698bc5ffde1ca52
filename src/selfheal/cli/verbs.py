"""The verbs, in the order in which a person meets them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from selfheal.cli.console import Console, Outcome


class VerbModule(Protocol):
    """What the module of a verb offers."""

    def configure(self, parser: ArgumentParser) -> None: ...

    def run(self, arguments: Namespace, console: Console) -> Outcome: ...


@dataclass(frozen=True)
class Verb:
    """One verb: the module below `selfheal.cli` that does it, and its line of help."""

    module: str
    help: str

    def load(self) -> VerbModule:
        return cast("VerbModule", import_module(f"selfheal.cli.{self.module}"))


VERBS: dict[str, Verb] = {
    "demo": Verb("demo", "watch a real service get sick and get healed, start to end"),
    "init": Verb("init", "write selfheal.yaml for a repository, from what is found there"),
    "run": Verb("run", "run the phases: parse, detect, diagnose, fix, validate, deploy, learn"),
    "resume": Verb("resume", "go on with a run that waited, failed or was killed"),
    "status": Verb("status", "what each beat of a run did, and what a resume would do again"),
    "runs": Verb("runs", "list the runs, newest first"),
    "show": Verb("show", "show an artifact, or one anomaly, diagnosis, candidate or run by its id"),
    "patch": Verb("patch", "print the chosen patch as a unified diff"),
    "approve": Verb("approval", "approve the change that a run is waiting with"),
    "reject": Verb("approval", "reject the change that a run is waiting with"),
    "audit": Verb("audit", "print the log of decisions and deliveries, and verify it"),
    "drill": Verb("drill", "seed faults into a clone of the repository and see what is healed"),
    "rollout": Verb("rollout", "where a rollout stands; abort it, or let it take its next step"),
    "learn": Verb("learn", "learn edit templates from the repository's own history of fixes"),
    "patterns": Verb("patterns", "what was learned: list, show, recall, retire, export, import"),
    "replay": Verb("replay", "compute the pure beats of a run again and compare bytes"),
    "ingest": Verb("ingest", "add what is new of telemetry files to a store"),
    "query": Verb("query", "ask telemetry by a shipped query or by SQL"),
    "report": Verb("report", "what production did: profiler, heatmap, timeline, errors and more"),
    "replay-trace": Verb("replay_trace", "print a captured trace as a runnable pytest file"),
    "search": Verb("search", "find code by words, relations, shapes and meaning"),
    "beats": Verb("beats", "list the beats; beats new NAME writes one of your own"),
    "sequences": Verb("sequences", "validate sequence files, or draw their graph"),
    "config": Verb("settings", "show the settings and where each comes from, or their schema"),
}
