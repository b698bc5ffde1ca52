"""The cost of reading by size, drawn as plain SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT, MARGIN = 720, 400, 64


class Point(NamedTuple):
    """So many spans took so many seconds, and so many bytes of memory at the most."""

    spans: int
    seconds: float
    memory: int


def svg(title: str, points: Sequence[Point]) -> str:
    """Seconds over spans, both axes logarithmic: where cost is linear, the line has slope 1.

    A dashed line goes on from the last point at its cost a span.
    """
    first, last = math.log10(points[0].spans), math.log10(points[-1].spans)
    low = math.floor(math.log10(min(point.seconds for point in points)))
    high = math.ceil(math.log10(max(point.seconds for point in points)))

    def place(spans: float, seconds: float) -> tuple[float, float]:
        across = (math.log10(spans) - first) / max(last - first, 1e-9)
        up = (math.log10(seconds) - low) / max(high - low, 1)
        return (
            MARGIN + across * (WIDTH - 2 * MARGIN),
            HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN),
        )

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = [text(WIDTH / 2, MARGIN / 2, title)]
    for exponent in range(low, high + 1):
        x, y = place(points[0].spans, 10.0**exponent)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
        parts.append(text(x - 8, y + 4, f"{10.0**exponent:g} s", "end"))
    cost = points[-1].seconds / points[-1].spans
    line = [place(point.spans, max(point.spans * cost, 10.0**low)) for point in points]
    parts.append(_line(line, "#888", dashed=True))
    parts.append(_line([place(point.spans, point.seconds) for point in points], "#06c"))
    for point in points:
        x, y = place(point.spans, point.seconds)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#06c"/>')
        each = f"{point.seconds / point.spans * 1e6:.2f} µs a span, {point.memory / 1e6:,.0f} MB"
        parts.append(text(x, y - 10, each))
        parts.append(text(x, HEIGHT - MARGIN + 20, f"{point.spans:,}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" '
        'fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _line(places: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dashes = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
