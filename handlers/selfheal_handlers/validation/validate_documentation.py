"""See that every candidate documents itself and breaks no link."""

from __future__ import annotations

from selfheal.artifacts import Patch
from selfheal.contract import handler
from selfheal.sandbox.documentation import documentation_check
from selfheal.sandbox.evidence import Applied, Checked
from selfheal_handlers.validation._examples import validate_documentation as example


@handler("validate_documentation", kind="pure", example=example)
def validate_documentation(apply_patch: Applied, patch: Patch) -> Checked:
    """The check ``documentation`` of every candidate that applies."""
    expected = patch.documentation == "included"
    return Checked(
        checks={
            name: [documentation_check(candidate.files, candidate.linked, expected=expected)]
            for name, candidate in apply_patch.candidates.items()
            if candidate.files
        }
    )
