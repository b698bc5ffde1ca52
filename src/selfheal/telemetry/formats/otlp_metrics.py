"""Data points of OTLP metrics as rows: sums, gauges, both kinds of histograms, summaries."""

from __future__ import annotations

from typing import Any

from selfheal.telemetry.formats.attributes import attributes_of, json_text, text_or_none
from selfheal.telemetry.formats.events import MALFORMED, Resource, malformed, nanoseconds
from selfheal.telemetry.sink import Sink

_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
_TEMPORALITIES = {
    1: "delta",
    2: "cumulative",
    "1": "delta",
    "2": "cumulative",
    "AGGREGATION_TEMPORALITY_DELTA": "delta",
    "AGGREGATION_TEMPORALITY_CUMULATIVE": "cumulative",
}
_NO_RECORDED_VALUE = 1

Document = dict[str, Any]


def add_metric(
    metric: Document, resource: Resource, scope: str | None, line: int, sink: Sink
) -> None:
    """Add the data points of a metric, given as OTLP JSON.

    Raises one of MALFORMED where it is not built like a metric; a malformed data point
    is refused by itself.
    """
    for kind in _KINDS:
        data = metric.get(kind) or {}
        for point in data.get("dataPoints") or ():
            try:
                _add_point(point, metric, kind, resource, scope, line, sink)
            except MALFORMED as error:
                sink.refuse(line, f"malformed data point: {malformed(error)}")


def _add_point(
    point: Document,
    metric: Document,
    kind: str,
    resource: Resource,
    scope: str | None,
    line: int,
    sink: Sink,
) -> None:
    data = metric[kind]
    moment = nanoseconds(point.get("timeUnixNano"))
    value = _value(point)
    row = (
        moment,
        nanoseconds(point.get("startTimeUnixNano")),
        resource.service,
        resource.release,
        resource.instance,
        text_or_none(metric.get("name")),
        kind,
        _TEMPORALITIES.get(data.get("aggregationTemporality")),
        bool(data.get("isMonotonic")) if kind == "sum" else None,
        value,
        _number(point, "count", int),
        _number(point, "min", float),
        _number(point, "max", float),
        json_text(_buckets(point, kind)),
        text_or_none(metric.get("unit")),
        text_or_none(scope),
        json_text(attributes_of(point.get("attributes"))),
        sink.source,
        line,
    )
    if moment is None:
        sink.without_timestamp += 1
    sink.metrics.add(row)


def _value(point: Document) -> float | None:
    """The value of a data point: of histograms and summaries their sum."""
    if int(point.get("flags") or 0) & _NO_RECORDED_VALUE:
        return None
    names = ("asDouble", "asInt", "sum")
    return next((float(point[name]) for name in names if point.get(name) is not None), None)


def _number(point: Document, name: str, kind: type[int] | type[float]) -> Any:
    value = point.get(name)
    if value is None:
        return None
    number = kind(value)
    if isinstance(number, int) and not 0 <= number < 2**63:
        raise ValueError(f"{name} is out of range")
    return number


def _buckets(point: Document, kind: str) -> Document:
    """Counts between bounds, the same for both kinds of histograms; quantiles of a summary."""
    if kind == "summary":
        quantiles = [
            [float(pair.get("quantile") or 0), float(pair.get("value") or 0)]
            for pair in point.get("quantileValues") or ()
        ]
        return {"quantiles": quantiles} if quantiles else {}
    if kind == "exponentialHistogram":
        return _explicit(point)
    counts = [int(count) for count in point.get("bucketCounts") or ()]
    bounds = [float(bound) for bound in point.get("explicitBounds") or ()]
    return {"bounds": bounds, "counts": counts} if counts else {}


def _explicit(point: Document) -> Document:
    """The buckets of an exponential histogram with their bounds written out.

    OpenTelemetry data model: with base = 2 ** (2 ** -scale), bucket i of the positive
    range counts (base ** i, base ** (i + 1)], the negative range mirrors it, and what
    is near zero is counted apart.
    """
    exponent = 2.0 ** -int(point.get("scale") or 0)
    below, negative = _range(point.get("negative") or {}, exponent)
    above, positive = _range(point.get("positive") or {}, exponent)
    bounds = [-bound for bound in reversed(below)] + above
    zero = int(point.get("zeroCount") or 0)
    if not bounds:
        return {"bounds": [], "counts": [zero]} if zero else {}
    counts = [*([0, *reversed(negative)] if negative else []), zero]
    counts += [*positive, 0] if positive else []
    return {"bounds": bounds, "counts": counts}


def _range(buckets: Document, exponent: float) -> tuple[list[float], list[int]]:
    counts = [int(count) for count in buckets.get("bucketCounts") or ()]
    if not any(counts):
        return [], []
    offset = int(buckets.get("offset") or 0)
    return [2.0 ** ((offset + index) * exponent) for index in range(len(counts) + 1)], counts
