"""Plots of measures with their intervals, as SVG that takes the page's colours."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from uslm.evaluation.metrics.bootstrap import Estimate

WIDTH, NAMES, LINE = 640, 260, 22
"""Pixels: of a plot, of the names beside dots, of a row of dots."""
HEIGHT, MARGIN = 240, 40
"""Pixels of a plot of curves, and of the room for its axes."""
STYLE = (
    "text{font:12px sans-serif;fill:#333}line,polyline{stroke:#35c;fill:none;stroke-width:1.5}"
    "circle{fill:#35c}@media(prefers-color-scheme:dark){text{fill:#ccc}"
    "line,polyline{stroke:#8af}circle{fill:#8af}}"
)
"""Colours of a drawing that is a file of its own."""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 2", "12 4")
"""Strokes by which lines are told apart, without colours."""


def standing_alone(drawing: str) -> str:
    """A drawing made for a page, as a file of its own."""
    head = "<svg "
    assert drawing.startswith(head)
    first, _, rest = drawing.partition(">")
    space = 'xmlns="http://www.w3.org/2000/svg" '
    return f"{head}{space}{first[len(head) :]}><style>{STYLE}</style>{rest}\n"


def dots(rows: Mapping[str, Estimate]) -> str:
    """A dot for each row, with a bar for its interval."""
    if not rows:
        return ""
    low, high = _span(list(rows.values()))

    def place(value: float) -> float:
        return NAMES + (WIDTH - NAMES - 60) * (value - low) / (high - low)

    parts = []
    for number, (name, value) in enumerate(rows.items()):
        y = LINE * number + LINE / 2
        parts.append(
            f'<text x="{NAMES - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
            f'<line x1="{place(value.low):.1f}" x2="{place(value.high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle cx="{place(value.value):.1f}" cy="{y}" r="4"><title>{_words(value)}</title>'
            f'</circle><text x="{place(value.high) + 8:.1f}" y="{y + 4}">{value.value:.3g}</text>'
        )
    bottom = LINE * len(rows)
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 18}" role="img" '
        f'aria-label="{escape(_summary(rows))}">{"".join(parts)}'
        f'<text x="{NAMES}" y="{bottom + 14}">{low:.3g}</text>'
        f'<text x="{WIDTH - 60}" y="{bottom + 14}" text-anchor="end">{high:.3g}</text></svg>'
    )


def curves(lines: Mapping[str, Sequence[tuple[float, Estimate]]]) -> str:
    """A line for each name, x on a logarithmic scale, with a bar for each interval."""
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    low, high = _span([value for _, value in points])
    left, right = (math.log(edge(x for x, _ in points)) for edge in (min, max))

    def spot(x: float, value: float) -> tuple[float, float]:
        across = (math.log(x) - left) / ((right - left) or 1)
        up = (value - low) / (high - low)
        return MARGIN + across * (WIDTH - MARGIN - 150), 10 + (1 - up) * (HEIGHT - MARGIN)

    parts = []
    for number, (name, line) in enumerate(lines.items()):
        ordered = sorted(line, key=lambda point: point[0])
        dash = DASHES[number % len(DASHES)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (spot(x, v.value) for x, v in ordered))
        parts.append(f'<polyline points="{path}" stroke-dasharray="{dash}"/>')
        for x, value in ordered:
            across, y = spot(x, value.value)
            ends = (spot(x, value.low)[1], spot(x, value.high)[1])
            parts.append(
                f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>'
                f'<circle cx="{across:.1f}" cy="{y:.1f}" r="3"><title>{escape(name)}, {x:.3g}: '
                f"{_words(value)}</title></circle>"
            )
        y = 16 + 18 * number
        parts.append(
            f'<line x1="{WIDTH - 140}" x2="{WIDTH - 112}" y1="{y - 4}" y2="{y - 4}" '
            f'stroke-dasharray="{dash}"/><text x="{WIDTH - 106}" y="{y}">{escape(name)}</text>'
        )
    ticks = "".join(
        f'<text x="{spot(x, low)[0]:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{x:.3g}</text>'
        for x in sorted({x for x, _ in points})
    )
    sides = "".join(
        f'<text x="{MARGIN - 6}" y="{spot(math.exp(left), value)[1] + 4:.1f}" '
        f'text-anchor="end">{value:.2g}</text>'
        for value in (low, high)
    )
    heights = {name: line[-1][1] for name, line in lines.items() if line}
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_summary(heights))}">'
        f"{''.join(parts)}{ticks}{sides}</svg>"
    )


def _span(values: Sequence[Estimate]) -> tuple[float, float]:
    low, high = min(v.low for v in values), max(v.high for v in values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _words(value: Estimate) -> str:
    return f"{value.value:.4g}, {value.low:.4g} to {value.high:.4g}"


def _summary(rows: Mapping[str, Estimate]) -> str:
    return "; ".join(f"{name}: {value.value:.3g}" for name, value in rows.items())
