"""Count the changed lines that the tests run, and list those that they do not."""

from __future__ import annotations

from selfheal.config import ValidateConfig
from selfheal.contract import Workspace, handler
from selfheal.sandbox.checks import coverage_check
from selfheal.sandbox.evidence import Checked, Tested, passed
from selfheal_handlers.validation._examples import check_coverage as example


@handler("check_coverage", kind="stage-crew", example=example)
def check_coverage(run_tests: Tested, config: ValidateConfig, workspace: Workspace) -> Checked:
    """The check ``changed_coverage`` of every candidate whose tests pass."""
    sound = {name: tested for name, tested in run_tests.candidates.items() if passed(tested.checks)}
    missed = [
        f"{file}:{line}: changed by {name} and run by no test\n"
        for name, tested in sorted(sound.items())
        for file, lines in (tested.coverage or {}).items()
        for line, ran in lines.items()
        if not ran
    ]
    workspace.write("reports/changed_lines_not_covered.txt", "".join(missed))
    return Checked(
        checks={
            name: [coverage_check(tested, config.minimum_changed_coverage)]
            for name, tested in sound.items()
        }
    )
