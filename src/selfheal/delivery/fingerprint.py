"""What a pull request is about, hidden in its text, so that no second one is opened for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import Field

from selfheal.artifacts import Diagnosis
from selfheal.artifacts.canonical import sha256_of, short_id
from selfheal.artifacts.model import Model
from selfheal.artifacts.patterns import trouble_context

_COMMENT = re.compile(r"<!-- selfheal\n(?P<lines>.*?)\n-->", re.DOTALL)


class Fingerprint(Model):
    """The root causes and anomalies that a change heals, and the SHA-256 of its diff."""

    causes: list[str] = Field(default_factory=list)
    anomalies: list[str] = Field(default_factory=list)
    change: str = ""

    def meets(self, other: Fingerprint) -> bool:
        """Whether both are about the same cause, or about the same anomaly."""
        return bool(
            set(self.causes) & set(other.causes) or set(self.anomalies) & set(other.anomalies)
        )

    def comment(self) -> str:
        """The HTML comment that carries it, which Markdown does not show."""
        lines = [
            f"causes: {' '.join(self.causes)}",
            f"anomalies: {' '.join(self.anomalies)}",
            f"change: {self.change}",
        ]
        return "<!-- selfheal\n" + "\n".join(lines) + "\n-->"

    @classmethod
    def read(cls, text: str) -> Fingerprint:
        """The fingerprint in a text, an empty one where there is none."""
        found = _COMMENT.search(text.replace("\r\n", "\n"))
        if found is None:
            return cls()
        parts = (line.partition(":") for line in found["lines"].splitlines())
        fields = {name.strip(): value.strip() for name, _, value in parts}
        return cls(
            causes=fields.get("causes", "").split(),
            anomalies=fields.get("anomalies", "").split(),
            change=fields.get("change", ""),
        )


def fingerprint_of(diagnoses: Iterable[Diagnosis], patch: str) -> Fingerprint:
    """The fingerprint of a change that heals these root causes by the diff `patch`."""
    healed = list(diagnoses)
    return Fingerprint(
        causes=sorted({cause_of(diagnosis) for diagnosis in healed}),
        anomalies=sorted({name for diagnosis in healed for name in diagnosis.anomaly_ids}),
        change=sha256_of(patch.encode("utf-8", "surrogateescape")),
    )


def cause_of(diagnosis: Diagnosis) -> str:
    """The id of a root cause: one for all anomalies that come from the same function.

    Lines and commits are left out, as they change when the code around moves. Where no
    place in the code is known, the operation stands for it.
    """
    place = diagnosis.locations[0] if diagnosis.locations else None
    return short_id(
        "cause",
        diagnosis.kind,
        diagnosis.root_service or diagnosis.service,
        [place.file, place.function] if place else [diagnosis.operation],
        trouble_context(diagnosis),
    )
