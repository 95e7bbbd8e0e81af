"""Charts as inline SVG: plain shapes with classes that a style sheet colours, readable at 360 and at 1200 pixels.

Every chart is 440 units wide, so that its text stays near its size on a phone and beside another chart on a desk. Each has a
title for those who cannot see it; what carries a figure has a tooltip.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

WIDTH = 440
_BOTTOM, _TOP, _LEFT, _RIGHT, _HEIGHT = (
    196,
    46,
    48,
    428,
    240,
)  # the edges of a plot with two axes, and its height with labels
_ROW = 26  # the height of a row in charts with a row a name
_LETTER = 6.9  # the width of a wide font's average letter at a height of 12
_HUES = 6  # colours that the style sheet has: c0 to fill, s0 to draw, f0 for both


def decimal(value: float) -> str:
    """`1,200`, `−0.5`: as many digits as the value has, at most six behind the point."""
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")


def share(value: float) -> str:
    """`12.5%` for .125."""
    return f"{decimal(100 * value)}%"


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, what it measures in which unit, how a tick is written."""

    low: float
    high: float
    label: str
    show: Callable[[float], str] = decimal

    def at(self, value: float, start: float, end: float) -> float:
        return start + (end - start) * (value - self.low) / ((self.high - self.low) or 1)

    def ticks(self, most: int) -> list[float]:
        """At most `most` + 1 round numbers within the axis."""
        step = nice((self.high - self.low) / most)
        return [
            k * step
            for k in range(
                math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1
            )
        ]


def nice(value: float) -> float:
    """The least of …, .1, .2, .5, 1, 2, 5, 10, … that is at least `value`; 1 where that is not above 0."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9))


def _to(high: float, label: str, show: Callable[[float], str] = decimal) -> Axis:
    """From 0 to the next round tick at or above `high`."""
    step = nice(high / 4)
    return Axis(0, step * max(1, math.ceil(high / step - 1e-9)), label, show)


def histogram(
    title: str, unit: str, of: str, groups: dict[str, Sequence[float]], stacked: bool = True
) -> Markup:
    """How values spread: groups stacked as counts `of` something, or outlined as shares `of` each group.

    The lowest and highest 0.25% of a group may lie in the outermost bins, lest one odd value flatten the rest.
    """
    ranked = [sorted(values) for values in groups.values()]
    low, high = min(r[len(r) // 400] for r in ranked), max(r[-1 - len(r) // 400] for r in ranked)
    step = nice((high - low) / 60)
    if isinstance(low, int) and isinstance(high, int):
        step = max(step, 1)
    first, last = math.floor(low / step), math.floor(high / step)
    heights = {}
    for name, values in groups.items():
        counts = heights[name] = [0.0] * (last - first + 1)
        for v in values:
            counts[min(max(math.floor(v / step), first), last) - first] += (
                1 if stacked else 1 / len(values)
            )
    x = Axis(first * step, (last + 1) * step, unit)
    edges = [x.at((first + k) * step, _LEFT, _RIGHT) for k in range(last - first + 2)]
    marks = []
    if stacked:
        y, below = (
            _to(max(map(sum, zip(*heights.values(), strict=True))), of),
            [0.0] * (last - first + 1),
        )
        for hue, (name, counts) in enumerate(heights.items()):
            for k, count in enumerate(counts):
                if count:
                    top, bottom = (y.at(v, _BOTTOM, _TOP) for v in (below[k] + count, below[k]))
                    tip = f"{x.show((first + k) * step)} to {x.show((first + k + 1) * step)} {unit}: {count:,.0f} {name}"
                    marks.append(
                        _box(edges[k], top, edges[k + 1] - edges[k] - 0.7, bottom - top, hue, tip)
                    )
                    below[k] += count
    else:
        y = _to(max(map(max, heights.values())), f"share of {of}", share)
        for hue, counts in enumerate(heights.values()):
            tops = [y.at(v, _BOTTOM, _TOP) for v in counts]
            steps = [(edge, top) for k, top in enumerate(tops) for edge in edges[k : k + 2]]
            marks.append(
                f'<path class="area f{hue}" d="M{_path([(edges[0], _BOTTOM), *steps, (edges[-1], _BOTTOM)])}"/>'
            )
    return _plot(title, x, y, "".join(marks), list(groups) if len(groups) > 1 else [])


def lines(
    title: str, unit: str, label: str, curves: dict[str, Sequence[tuple[float, float]]]
) -> Markup:
    """Shares against a count, a line a name, which stands at the line's end."""
    x = Axis(0, max(points[-1][0] for points in curves.values()), unit)
    y = _to(max(v for points in curves.values() for _, v in points), label, share)
    right = _RIGHT - 14 - _LETTER * max(map(len, curves))
    marks, ends = [], []
    for number, (name, points) in enumerate(curves.items()):
        hue, places = (
            number % _HUES,
            [(x.at(n, _LEFT, right), y.at(v, _BOTTOM, _TOP)) for n, v in points],
        )
        marks.append(
            f'<path class="line s{hue}" d="M{_path(places)}"><title>{escape(name)}</title></path>'
        )
        ends.append((*places[-1], hue, name))
    ends.sort(key=lambda end: end[1])
    level = _TOP - 14.0
    for below, (start, place, hue, name) in zip(range(len(ends), 0, -1), ends, strict=True):
        level = max(
            level + 14, min(place, _BOTTOM + 10 - 14 * below)
        )  # names that would overlap move apart
        marks.append(
            f'<path class="line thin s{hue}" d="M{start + 2:.1f} {place:.1f}L{right + 10:.1f} {level:.1f}"/>'
        )
        marks.append(_text(right + 13, level + 4, name))
    return _plot(title, x, y, "".join(marks), [], right, max(level + 8, _HEIGHT))


def bars(
    title: str,
    rows: Sequence[tuple[str, Sequence[float], str]],
    parts: Sequence[str],
    whole: float,
    show: Callable[[float], str] = decimal,
) -> Markup:
    """A bar a row, (name, the sizes of its `parts`, a note behind it), on a scale on which `whole` is the full width."""
    left = 10 + _LETTER * max(len(name) for name, _, _ in rows)
    right = WIDTH - 10 - _LETTER * max(len(note) for _, _, note in rows)
    first = 24 if len(parts) > 1 else 0
    marks = [_key(parts, 0)] if len(parts) > 1 else []
    for k, (name, sizes, note) in enumerate(rows):
        top, start = first + k * _ROW, left
        marks.append(_text(0, top + 16, name))
        for hue, (part, size) in enumerate(zip(parts, sizes, strict=True)):
            width = (right - left) * size / (whole or 1)
            if size:
                marks.append(
                    _box(
                        start,
                        top + 4,
                        max(width - 0.7, 0.8),
                        _ROW - 9,
                        hue,
                        f"{name}: {show(size)} {part}",
                    )
                )
            start += width
        marks.append(_text(start + 6, top + 16, note, "muted"))
    return _svg(title, 0, first + len(rows) * _ROW, "".join(marks))


def intervals(
    title: str, unit: str, rows: Sequence[tuple[str, float, float, float, str]]
) -> Markup:
    """A point between its bounds a row, (name, low, value, high, note), as shares from 0 to 1."""
    left = 10 + _LETTER * max(len(name) for name, *_ in rows)
    right = WIDTH - 12 - _LETTER * max(len(note) for *_, note in rows)
    x, bottom, marks = Axis(0, 1, unit, share), len(rows) * _ROW, []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        place = x.at(tick, left, right)
        marks.append(
            f'<path class="grid" d="M{place:.1f} 0V{bottom}"/>{_text(place, bottom + 16, share(tick), "muted middle")}'
        )
    for k, (name, low, value, high, note) in enumerate(rows):
        level, (start, place, end) = (
            k * _ROW + 12,
            (x.at(v, left, right) for v in (low, value, high)),
        )
        marks += [_text(0, level + 4, name), _text(right + 12, level + 4, note, "muted")]
        marks.append(f'<path class="line s0" d="M{start:.1f} {level}H{end:.1f}"/>')
        tip = f"{name}: {value:.1%}, {low:.1%} to {high:.1%}"
        marks.append(
            f'<circle class="c0" cx="{place:.1f}" cy="{level}" r="4.5"><title>{escape(tip)}</title></circle>'
        )
    marks.append(_text((left + right) / 2, bottom + 34, unit, "muted middle"))
    return _svg(title, 0, bottom + 40, "".join(marks))


def _plot(
    title: str,
    x: Axis,
    y: Axis,
    marks: str,
    names: list[str],
    right: float = _RIGHT,
    bottom: float = _HEIGHT,
) -> Markup:
    """Marks on a grid with both axes' ticks and labels, and a key of the groups' names above it."""
    top = 0 if names else 20
    frame = [
        _text(0, top + 12, y.label, "muted"),
        _text((_LEFT + right) / 2, _BOTTOM + 38, x.label, "muted middle"),
    ]
    for tick in y.ticks(4):
        level = y.at(tick, _BOTTOM, _TOP)
        frame.append(f'<path class="grid" d="M{_LEFT} {level:.1f}H{right:.1f}"/>')
        frame.append(_text(_LEFT - 7, level + 4, y.show(tick), "muted end"))
    for tick in x.ticks(5):
        place = x.at(tick, _LEFT, right)
        frame.append(f'<path class="axis" d="M{place:.1f} {_BOTTOM}v5"/>')
        frame.append(_text(place, _BOTTOM + 19, x.show(tick), "muted middle"))
    base = f'<path class="axis" d="M{_LEFT} {_BOTTOM}H{right:.1f}"/>'
    return _svg(title, top, bottom, "".join(frame) + marks + base + _key(names, 20))


def _key(names: Sequence[str], top: float) -> str:
    found, left = [], 0.0
    for hue, name in enumerate(names):
        found.append(f'<rect class="c{hue}" x="{left:.1f}" y="{top + 1}" width="10" height="10"/>')
        found.append(_text(left + 15, top + 10, name))
        left += 31 + _LETTER * len(name)
    return "".join(found)


def _svg(title: str, top: float, bottom: float, inside: str) -> Markup:
    box = f"0 {top} {WIDTH} {bottom - top:.0f}"
    return Markup(f'<svg viewBox="{box}" role="img"><title>{escape(title)}</title>{inside}</svg>')


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}"{f" class={style!r}" if style else ""}>{escape(text)}</text>'
    )


def _box(x: float, y: float, width: float, height: float, hue: int, tip: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="c{hue}" {place}><title>{escape(tip)}</title></rect>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
