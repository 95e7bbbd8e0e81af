"""Charts by matplotlib: as PNG files, and as SVG inside a page whose style sheet colours them.

Each function returns a Figure with a label, its title for those who cannot see it. `as_png` and
`as_inline_svg` give the same bytes for the same chart. All charts are 440 units wide, so that their
text stays near its size on a phone and beside another chart on a desk. A name or note may be a
model's text: it is shown as it is, and never read as markup or as a formula.
"""

import io
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

from lib.report import mathml

WIDTH = 440
PLOT_HEIGHT = 230
ROW_HEIGHT = 26  # of a chart with a row a name
LINE_HEIGHT = 15  # of each further line of a name that is wrapped
LONGEST_NAME = 24  # characters on a line: what leaves half of the width to the bars
LONGEST_LABEL = 48
MOST_BINS = 60

# Okabe and Ito's colours, told apart with any kind of colour blindness: darkened to be seen on
# white, lightened to be seen on black. A page's style sheet has them as variables of these names.
LIGHT = {
    "ink": "#1c1d1f",
    "muted": "#63656a",
    "rule": "#dcdcd6",
    "blue": "#0a6ab0",
    "orange": "#d0570a",
    "grey": "#9a9ca3",
    "purple": "#b0569a",
    "green": "#008a63",
    "yellow": "#a87400",
    "sky": "#45a6dd",
}
DARK = {
    "ink": "#e6e5e0",
    "muted": "#9da0a6",
    "rule": "#34373c",
    "blue": "#5aa9e6",
    "orange": "#f0843c",
    "grey": "#7d8088",
    "purple": "#dd93c6",
    "green": "#3fc298",
    "yellow": "#e3b341",
    "sky": "#b5e2fa",
}
PARTS = ("blue", "orange", "grey", "purple")  # the colours of a whole's parts, in their order
LINES = ("blue", "orange", "sky", "purple", "green", "yellow")
VERDICTS = {"base": "blue", "gain": "green", "loss": "orange", "within noise": "muted"}

STYLE = {
    "font.size": 12,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,
    "axes.titlesize": "medium",
    "axes.titlecolor": LIGHT["muted"],
    "axes.titlelocation": "left",
    "axes.titlepad": 11,
    "axes.labelcolor": LIGHT["muted"],
    "axes.edgecolor": LIGHT["muted"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.autolimit_mode": "round_numbers",  # an axis ends at a tick
    "axes.ymargin": 0,
    "grid.color": LIGHT["rule"],
    "lines.linewidth": 2,
    "xtick.color": LIGHT["muted"],
    "xtick.major.pad": 6,
    "xtick.major.size": 0,
    "ytick.color": LIGHT["muted"],
    "ytick.major.pad": 6,
    "ytick.major.size": 0,
    "legend.borderaxespad": 0.1,
    "legend.borderpad": 0.1,
    "legend.frameon": False,
    "legend.handlelength": 1,
    "svg.fonttype": "none",
}
NUMBER = "{x:,.12g}"  # 1,200 and 0.3: all digits but those of a float's rounding
TOOLTIP = "tooltip: "  # begins the id of what has a tooltip, which is the rest of the id
NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Bar:
    """A row of `bars`: the sizes of the bar's parts, and a note behind it."""

    name: str
    sizes: Sequence[float]
    note: str = ""


@dataclass(frozen=True)
class Interval:
    """A row of `intervals`: a share from 0 to 1 between its bounds, and a note at the right.

    `verdict`, a key of VERDICTS, colours the row; the note must say it too.
    """

    name: str
    low: float
    value: float
    high: float
    note: str = ""
    verdict: str | None = None


@contextmanager
def _style(**more: str) -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context({**STYLE, **more}), warnings.catch_warnings():
        # Only the widths of such letters are unknown: a browser has a font for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@_style()
def histogram(
    title: str, unit: str, of: str, groups: dict[str, Sequence[float]], stacked: bool = True
):
    """A Figure of how values spread: stacked counts `of` something, or outlined shares `of` each.

    The lowest and highest 0.25% of a group may lie in the outermost bins, lest one odd value
    flatten the rest. Each group must hold a value, and there are at most four.
    """
    import numpy

    edges = _bin_edges(list(groups.values()))
    figure, axes = _plot(title, unit, of if stacked else f"share of {of}")
    below = numpy.zeros(len(edges) - 1)
    for (name, values), part in zip(groups.items(), PARTS, strict=False):
        inside = numpy.clip(values, edges[0], edges[-1])
        counts, _ = numpy.histogram(inside, edges)
        colour = LIGHT[part]
        if stacked:
            _stack(axes, edges, counts, below, _words(unit), _words(name), colour)
            below += counts
        else:
            style = {"facecolor": (colour, 0.16), "edgecolor": colour, "linewidth": 1.5}
            axes.stairs(counts / len(values), edges, fill=True, label=_words(name), **style)
    if stacked:
        axes.yaxis.get_major_locator().set_params(integer=True)
    else:
        axes.yaxis.set_major_formatter(_percent)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    if len(groups) > 1:
        figure.legend(loc="outside upper left", ncols=len(groups))
    return figure


def _bin_edges(groups: list[Sequence[float]]):
    """The edges of at most 60 bins between round numbers, an array; whole numbers stay whole."""
    import numpy
    from matplotlib.ticker import MaxNLocator

    low = min(numpy.quantile(values, 0.0025, method="lower") for values in groups)
    high = max(numpy.quantile(values, 0.9975, method="higher") for values in groups)
    is_whole = numpy.issubdtype(numpy.result_type(*map(numpy.asarray, groups)), numpy.integer)
    if is_whole or low == high:
        high = high + 1  # a bin begins at the number that it holds
    locator = MaxNLocator(MOST_BINS, steps=[1, 2, 5, 10], integer=is_whole)
    return locator.tick_values(low, high)


def _stack(axes, edges, counts, below, unit: str, name: str, colour: str) -> None:
    """A bar for each bin that is not empty, on top of those that are there."""
    filled = counts > 0
    starts, ends, counts = edges[:-1][filled], edges[1:][filled], counts[filled]
    style = {"align": "edge", "color": colour, "label": name}
    bars = axes.bar(starts, counts, 0.9 * (ends - starts), below[filled], **style)
    for bar, start, end, count in zip(bars, starts, ends, counts, strict=True):
        span = f"{NUMBER.format(x=start)} to {NUMBER.format(x=end)} {unit}"
        bar.set_gid(f"{TOOLTIP}{span}: {count:,} {name}")


@_style()
def lines(title: str, unit: str, label: str, curves: dict[str, Sequence[tuple[float, float]]]):
    """A Figure of shares against a count, a line a name, named in the order of the lines' ends."""
    figure, axes = _plot(title, unit, label)
    for (name, points), colour in zip(curves.items(), itertools.cycle(LINES), strict=False):
        counts, shares = zip(*points, strict=True)
        style = {"color": LIGHT[colour], "label": _words(name)}
        # Above the axis, on which a line of zeros lies.
        (line,) = axes.plot(counts, shares, clip_on=False, zorder=3, **style)
        line.set_gid(f"{TOOLTIP}{_words(name)}")
    axes.set_xlim(0, max(line.get_xdata().max() for line in axes.lines))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(_percent)
    from_the_top = sorted(axes.lines, key=lambda line: -line.get_ydata()[-1])
    names = [line.get_label() for line in from_the_top]
    axes.legend(from_the_top, names, loc="center left", bbox_to_anchor=(1.03, 0.5))
    return figure


@_style()
def bars(title: str, rows: Sequence[Bar], parts: Sequence[str], whole: float, number: str = NUMBER):
    """A Figure of a bar a row, on a scale on which `whole` is the full width.

    `parts` names what the sizes of a bar are of, at most four; `number` formats a size as `x`.
    """
    parts = [_words(part) for part in parts]
    key_height = ROW_HEIGHT if len(parts) > 1 else 0
    figure, axes = _rows(title, [row.name for row in rows], key_height)
    for place, row in enumerate(rows):
        start = 0
        for part, size, colour in zip(parts, row.sizes, PARTS, strict=False):
            (bar,) = axes.barh(place, size, 0.65, start, color=LIGHT[colour])
            bar.set_gid(f"{TOOLTIP}{_words(row.name)}: {number.format(x=size)} {part}")
            start += size
        _note(axes, row.note, (start, place), "data")
    axes.set_xlim(0, whole or 1)
    axes.xaxis.set_visible(False)
    axes.spines.bottom.set_visible(False)
    if len(parts) > 1:
        figure.legend(axes.patches[: len(parts)], parts, loc="outside upper left", ncols=len(parts))
    return figure


@_style()
def intervals(
    title: str, label: str, rows: Sequence[Interval], limits: tuple[float, float] | None = None
):
    """A Figure of a point between its bounds a row, and a dashed line through each base.

    The axis is named `label` and goes from `limits[0]` to `limits[1]`, shares; without limits it
    is as wide as the intervals. It never leaves 0 to 1.
    """
    figure, axes = _rows(title, [row.name for row in rows], 2 * ROW_HEIGHT)
    for place, row in enumerate(rows):
        colour = LIGHT[VERDICTS.get(row.verdict, "blue")]
        span = f"{row.value:.1%}, {row.low:.1%} to {row.high:.1%}"
        (line,) = axes.plot([row.low, row.high], [place, place], color=colour)
        (point,) = axes.plot(row.value, place, "o", markersize=8, color=colour, clip_on=False)
        for mark in (line, point):
            mark.set_gid(f"{TOOLTIP}{_words(row.name)}: {span}")
        _note(axes, row.note, (1, place), axes.get_yaxis_transform())
        if row.verdict == "base":
            axes.axvline(row.value, color=colour, linestyle="--", linewidth=1, zorder=0)
    low, high = limits or axes.get_xlim()
    axes.set_xlim(max(low, 0), min(high, 1))
    axes.xaxis.set_major_formatter(_percent)
    axes.grid(axis="x")
    axes.set_xlabel(_words(label, LONGEST_LABEL))
    return figure


def as_png(figure) -> bytes:
    """The chart on white, 917 pixels wide."""
    return _saved(figure, "png", dpi=150, metadata={"Software": None})


def as_inline_svg(figure) -> Markup:
    """The chart as an <svg> element for a page that has a style sheet's variable for each colour.

    It has no width, so that it becomes as wide as its place; its text stays text in the page's
    font. Ids that nothing refers to are left out, the others are the chart's own.
    """
    root = ElementTree.fromstring(_saved(figure, "svg", transparent=True, metadata=NO_METADATA))
    root.remove(root.find(f"{SVG}defs"))  # a style sheet, that would reach into the page
    title = ElementTree.Element("title")
    title.text = figure.get_label()
    root.insert(0, title)
    for element in root.iter():
        _tidy(element)
    root.attrib = {"viewBox": root.get("viewBox"), "role": "img"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _saved(figure, kind: str, **options) -> bytes:
    """The bytes of the file; its ids come of the title and what they stand for."""
    image = io.BytesIO()
    with _style(**{"svg.hashsalt": figure.get_label()}):
        figure.savefig(image, format=kind, **options)
    return image.getvalue()


def _tidy(element: ElementTree.Element) -> None:
    """Turn an element of matplotlib's into one for a page: colours by name, tooltips, no fonts."""
    element.tag = element.tag.removeprefix(SVG)
    element.tail = None  # with the next line: no indentation
    element.text = element.text if element.tag in ("text", "title") else None
    if LINK in element.attrib:
        element.set("href", element.attrib.pop(LINK))
    if element.tag == "g":
        tooltip = element.attrib.pop("id", "").partition(TOOLTIP)[2]
        if tooltip:
            ElementTree.SubElement(element, "title").text = tooltip
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for name in element.attrib.keys() & {"d", "x", "y"}:
        element.set(name, re.sub(r"\d+\.\d+", _one_digit, " ".join(element.get(name).split())))
    if "style" in element.attrib:
        style = re.sub(r"font-family: [^;]*;? ?", "", element.get("style"))
        element.set("style", re.sub(r"#[0-9a-f]{6}", _variable, style))


def _one_digit(match: re.Match) -> str:
    return f"{float(match[0]):.1f}"


def _variable(match: re.Match) -> str:
    """`var(--blue)` for the light theme's blue."""
    for name, colour in LIGHT.items():
        if colour == match[0]:
            return f"var(--{name})"
    return match[0]


def _plot(title: str, unit: str, label: str):
    """(Figure, axes) with a grid and the axes' labels: that of the y axis stands above it."""
    figure, axes = _empty(title, PLOT_HEIGHT)
    axes.grid(axis="y")
    axes.set_xlabel(_words(unit, LONGEST_LABEL))
    axes.set_title(_words(label, LONGEST_LABEL))
    axes.locator_params(axis="x", nbins=7)
    axes.locator_params(axis="y", nbins=5)
    axes.xaxis.set_major_formatter(NUMBER)
    axes.yaxis.set_major_formatter(NUMBER)
    return figure, axes


def _rows(title: str, names: list[str], further_height: float):
    """(Figure, axes) with a row for each name, from the top."""
    wrapped = [_words(name) for name in names]
    most_lines = max(name.count("\n") for name in wrapped) + 1
    row_height = ROW_HEIGHT + LINE_HEIGHT * (most_lines - 1)
    figure, axes = _empty(title, row_height * len(names) + further_height)
    axes.set_yticks(range(len(names)), wrapped, color=LIGHT["ink"])
    axes.set_ylim(len(names) - 0.5, -0.5)
    return figure, axes


def _empty(title: str, height: float):
    """(Figure, axes), `height` units high; without pyplot, so that no display is looked for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    figure.set_label(" ".join(mathml.plain(title).split()))
    return figure, figure.add_subplot()


def _note(axes, text: str, place: tuple[float, float], coordinates) -> None:
    """A muted text a little to the right of a place."""
    axes.annotate(
        _words(text),
        place,
        xycoords=coordinates,
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=LIGHT["muted"],
        annotation_clip=False,
    )


def _words(text: str, longest: int = LONGEST_NAME) -> str:
    """The text on at most three lines, with code points for what cannot be seen or drawn."""
    lines = textwrap.wrap(mathml.plain(text), longest, max_lines=3, placeholder=" …")
    return "\n".join(lines)


def _percent(share: float, _tick: int) -> str:
    """`12.5%` for .125: how matplotlib asks for the text of a tick."""
    return f"{NUMBER.format(x=round(100 * share, 6))}%"
