"""What every store offers: an analysis in, rows out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol

from selfheal.errors import InvalidInput

TIME_COLUMN: Mapping[str, str] = {
    "spans": "start_ns",
    "logs": "time_ns",
    "errors": "time_ns",
    "metrics": "time_ns",
}
_AGO = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Period:
    """Only events from `since_ns` on and before `until_ns` (nanoseconds since 1970 UTC).

    An event without a time is in no period that has a bound.
    """

    since_ns: int | None = None
    until_ns: int | None = None

    @property
    def bounded(self) -> bool:
        return self.since_ns is not None or self.until_ns is not None

    def condition(self, column: str) -> str:
        """The bounds as SQL over a column of nanoseconds; empty where there are none."""
        bounds = []
        if self.since_ns is not None:
            bounds.append(f"{column} >= {self.since_ns}")
        if self.until_ns is not None:
            bounds.append(f"{column} < {self.until_ns}")
        return " AND ".join(bounds)


ALWAYS = Period()


@dataclass(frozen=True)
class Answer:
    """Rows by column. Values are JSON types; times are ISO 8601 in UTC."""

    columns: list[str]
    rows: list[list[Any]]

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Answer:
        return cls(list(columns), [[plain(value) for value in row] for row in rows])

    @property
    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Store(Protocol):
    """A place that answers SQL over the event model.

    `sql` is one SELECT in DuckDB's dialect with ``$name`` parameters, `parameters` their
    values. Raises InvalidInput where the statement cannot be run.
    """

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, period: Period = ALWAYS
    ) -> Answer: ...

    def close(self) -> None: ...


def moment(text: str, now: datetime) -> int:
    """A time as nanoseconds since 1970: ISO 8601 (UTC where no zone is given), or how long ago.

    ``2026-11-21``, ``2026-11-21T01:07:44Z``, ``7d``, ``90m``. Raises InvalidInput.
    """
    if ago := _AGO.fullmatch(text.strip()):
        moment_ = now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
    else:
        try:
            moment_ = datetime.fromisoformat(text.strip())
        except ValueError:
            raise InvalidInput(
                f"{text!r} is no time.", hint="Give 2026-11-21, 2026-11-21T01:07:44Z or 7d."
            ) from None
    if moment_.tzinfo is None:
        moment_ = moment_.replace(tzinfo=UTC)
    past = moment_ - datetime(1970, 1, 1, tzinfo=UTC)
    return (past // timedelta(microseconds=1)) * 1000


def plain(value: Any) -> Any:
    """A database's value as a JSON type. Numbers that JSON has no word for are None."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else None
        case datetime():
            aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            precision = "microseconds" if aware.microsecond else "seconds"
            return aware.isoformat(timespec=precision).replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case bytes():
            return value.decode("utf-8", "replace")
        case _ if hasattr(value, "__float__"):
            return float(value)
        case _:
            return str(value)
