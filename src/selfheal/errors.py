"""Every exception that selfheal raises on purpose.

    SelfhealError
    ├── InvalidInput                what the user gave cannot be used
    │   ├── ConfigurationError      selfheal.yaml, an environment variable or a flag
    │   ├── TelemetryError          a file that is not telemetry, or none at all
    │   ├── RepositoryError         not a git repository, an unknown revision
    │   │   └── PushRefused         the remote did not take a push
    │   ├── SequenceError           a sequence file that does not load
    │   │   └── WiringError         beats that do not fit together
    │   ├── HandlerError            a handler that breaks the contract, or is unknown
    │   ├── MissingArtifact         a phase was asked for whose input is not stored
    │   └── MissingExtra            an optional package is not installed
    ├── NotFound                    what was asked for is not there
    └── Fault                       something broke that should not
        ├── BeatFault               a handler raised
        ├── JournalError            a run folder that contradicts itself
        ├── ServiceError            a service process that did not start or answer
        └── LockedError             another process holds what is needed

A failed beat or a skipped one is a result (see `selfheal.contract`), never an
exception. `selfheal.cli.main` is the one place that turns these into exit codes.
Each class has a stable `slug`; docs/errors.md explains it under that anchor.
"""

from __future__ import annotations

from typing import ClassVar


class SelfhealError(Exception):
    """A message in three parts: what went wrong, where, and what helps next.

    `message` says what and why, `where` is ``file:line``, a JSON pointer or a name,
    `hint` is the command or the edit that helps.
    """

    slug: ClassVar[str] = "error"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        help_text = f" {self.hint}" if self.hint else ""
        return f"{place}{self.message}{help_text}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.where, self.hint)


def _rebuild(
    kind: type[SelfhealError], message: str, where: str | None, hint: str | None
) -> SelfhealError:
    """Exceptions cross process borders by pickle, which knows no keyword arguments."""
    return kind(message, where=where, hint=hint)


class InvalidInput(SelfhealError):
    slug = "invalid-input"


class ConfigurationError(InvalidInput):
    slug = "configuration"


class TelemetryError(InvalidInput):
    slug = "telemetry"


class RepositoryError(InvalidInput):
    slug = "repository"


class PushRefused(RepositoryError):
    """The remote did not take the push: it moved on, or its own rules say no."""

    slug = "push-refused"


class SequenceError(InvalidInput):
    slug = "sequence"


class WiringError(SequenceError):
    slug = "wiring"


class HandlerError(InvalidInput):
    slug = "handler"


class MissingArtifact(InvalidInput):
    slug = "missing-artifact"


class MissingExtra(InvalidInput):
    slug = "missing-extra"

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtra:
        """The error for `package`, which `pip install 'selfheal[extra]'` brings."""
        return cls(
            f"the package {package} is not installed.",
            hint=f"Install it with: pip install 'selfheal[{extra}]'",
        )


class NotFound(SelfhealError):
    slug = "not-found"


class Fault(SelfhealError):
    slug = "fault"


class BeatFault(Fault):
    slug = "beat-fault"


class JournalError(Fault):
    slug = "journal"


class ServiceError(Fault):
    slug = "service"


class LockedError(Fault):
    slug = "locked"
