"""Which lines a search changes: those of diagnosis, and what failing tests ran."""

from __future__ import annotations

from math import sqrt

from selfheal.repair import Problem
from selfheal.repair.edits import Suspect
from selfheal.repair.problem import is_test
from selfheal.sandbox.search_model import Survey
from selfheal.sandbox.search_plan import Planner

# What diagnosis does not accuse counts for less.
ELSEWHERE = 0.3


def suspects_of(problem: Problem, survey: Survey, planner: Planner) -> list[Suspect]:
    """Suspicious lines: those of diagnosis, and all of functions that the failing tests ran.

    Functions are scored by Ochiai (Abreu et al., TAICPART 2006) over the survey's tests. Where
    the failing tests run none, what they look at was made when it was imported: then it is
    all of the imported files.
    """
    best: dict[tuple[str, int], float] = {}

    def add(file: str, line: int, score: float) -> None:
        if not is_test(file):
            best[file, line] = max(best.get((file, line), 0.0), score)

    for each in problem.diagnosis.evidence.get("spectrum") or ():
        add(str(each["file"]), int(each["line"]), float(each["score"]))
    for location in problem.diagnosis.locations:
        add(location.file, location.line, location.score)
    factor = ELSEWHERE if best else 1.0
    failing, passing = set(survey.failing), set(survey.passing)
    ran = (file for test in failing for file, _ in survey.results[test].functions)
    for file in sorted(set(ran)):
        for region in planner.regions(file):
            running = survey.running([region])
            hit, innocent = len(running & failing), len(running & passing)
            if hit:
                score = factor * hit / sqrt(len(failing) * (hit + innocent))
                for line in range(region.first, region.last + 1):
                    add(file, line, round(score, 6))
    if not best:
        for file in sorted({file for file, _ in survey.imported}):
            for line in range(1, problem.sources.get(file, "").count("\n") + 2):
                add(file, line, ELSEWHERE)
    ordered = sorted(best.items(), key=lambda each: (-each[1], each[0]))
    return [Suspect(file, line, score) for (file, line), score in ordered]
