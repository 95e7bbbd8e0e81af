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

# Lengths in units of a chart, of which matplotlib takes 72 for an inch.
WIDTH = 440
PLOT_HEIGHT = 230
ROW_HEIGHT = 26  # of a chart with a row a name
LINE_HEIGHT = 15  # of each further line of a name that is wrapped
UNITS_OF_INCH = 72
LONGEST_NAME = 24  # characters on a line: what leaves half of the width to the bars
LONGEST_LABEL = 48  # characters on a line of an axis' label, which has the whole width
MOST_BINS = 60
OUTLYING = 0.0025  # the share of values that may lie outside a histogram's edges at each end

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
PART_COLOURS = ("blue", "orange", "grey", "purple")  # of a whole's parts, in their order
LINE_COLOURS = ("blue", "orange", "sky", "purple", "green", "yellow")
VERDICTS = {"base": "blue", "gain": "green", "loss": "orange", "within noise": "muted"}

STYLE = {
    "font.size": 12,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a `$` in a model's text is a dollar
    "axes.titlesize": "medium",
    "axes.titlecolor": LIGHT["muted"],
    "axes.titlelocation": "left",
    "axes.titlepad": 11,
    "axes.labelcolor": LIGHT["muted"],
    "axes.edgecolor": LIGHT["muted"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,  # the grid lies under the bars
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
    "svg.fonttype": "none",  # text stays text
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
def _chart_style(**more_settings: str) -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context({**STYLE, **more_settings}), warnings.catch_warnings():
        # Only the widths of such letters are unknown: a browser has a font for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@_chart_style()
def histogram(
    title: str, unit: str, counted: str, groups: dict[str, Sequence[float]], stacked: bool = True
):
    """A Figure of how the values of each group spread over bins.

    A bin's height is how many are `counted`, as bars on top of each other; or else the share of
    `counted` in it, as an outline for each group. The lowest and highest 0.25% of a group may lie
    in the outermost bins, lest one odd value flatten the rest. Each group must hold a value, and
    there are at most four.
    """
    import numpy

    bin_edges = _bin_edges(list(groups.values()))
    y_label = counted if stacked else f"share of {counted}"
    figure, axes = _empty_plot(title, unit, y_label)
    counts_below = numpy.zeros(len(bin_edges) - 1)
    for group, colour_name in zip(groups, PART_COLOURS, strict=False):
        colour, legend_name = LIGHT[colour_name], _wrapped(group)
        values_inside = numpy.clip(groups[group], bin_edges[0], bin_edges[-1])
        counts, _ = numpy.histogram(values_inside, bin_edges)
        if stacked:
            _stack_bars(axes, bin_edges, counts, counts_below, _wrapped(unit), legend_name, colour)
            counts_below += counts
        else:
            shares = counts / len(values_inside)
            outline = {"facecolor": (colour, 0.16), "edgecolor": colour, "linewidth": 1.5}
            axes.stairs(shares, bin_edges, fill=True, label=legend_name, **outline)
    if stacked:
        axes.yaxis.get_major_locator().set_params(integer=True)
    else:
        axes.yaxis.set_major_formatter(_percent_tick)
    axes.set_xlim(bin_edges[0], bin_edges[-1])
    axes.set_ylim(bottom=0)
    if len(groups) > 1:
        figure.legend(loc="outside upper left", ncols=len(groups))
    return figure


def _bin_edges(groups: list[Sequence[float]]):
    """The edges of at most 60 bins between round numbers, an array; whole numbers stay whole."""
    import numpy
    from matplotlib.ticker import MaxNLocator

    lowest = min(numpy.quantile(values, OUTLYING, method="lower") for values in groups)
    highest = max(numpy.quantile(values, 1 - OUTLYING, method="higher") for values in groups)
    value_type = numpy.result_type(*map(numpy.asarray, groups))
    are_whole = numpy.issubdtype(value_type, numpy.integer)
    if are_whole or lowest == highest:
        highest = highest + 1  # a bin begins at the number that it holds
    locator = MaxNLocator(MOST_BINS, steps=[1, 2, 5, 10], integer=are_whole)
    return locator.tick_values(lowest, highest)


def _stack_bars(axes, bin_edges, counts, counts_below, unit: str, name: str, colour: str) -> None:
    """A bar for each bin that is not empty, on top of those that are there."""
    has_values = counts > 0
    bin_starts = bin_edges[:-1][has_values]
    bin_ends = bin_edges[1:][has_values]
    heights = counts[has_values]
    bottoms = counts_below[has_values]
    widths = 0.9 * (bin_ends - bin_starts)  # the rest is a gap
    look = {"align": "edge", "color": colour, "label": name}
    drawn_bars = axes.bar(bin_starts, heights, widths, bottoms, **look)
    for bar, start, end, count in zip(drawn_bars, bin_starts, bin_ends, heights, strict=True):
        first, last = NUMBER.format(x=start), NUMBER.format(x=end)
        bar.set_gid(f"{TOOLTIP}{first} to {last} {unit}: {count:,} {name}")


@_chart_style()
def lines(title: str, unit: str, y_label: str, curves: dict[str, Sequence[tuple[float, float]]]):
    """A Figure of shares against a count, a line a name, named in the order of the lines' ends."""
    figure, axes = _empty_plot(title, unit, y_label)
    for curve, colour_name in zip(curves, itertools.cycle(LINE_COLOURS), strict=False):
        counts, shares = zip(*curves[curve], strict=True)
        name = _wrapped(curve)
        look = {"color": LIGHT[colour_name], "label": name}
        # Above the axis, on which a line of zeros lies.
        (line,) = axes.plot(counts, shares, clip_on=False, zorder=3, **look)
        line.set_gid(f"{TOOLTIP}{name}")
    highest_count = max(line.get_xdata().max() for line in axes.lines)
    axes.set_xlim(0, highest_count)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(_percent_tick)
    from_the_top = sorted(axes.lines, key=lambda line: -line.get_ydata()[-1])
    names = [line.get_label() for line in from_the_top]
    axes.legend(from_the_top, names, loc="center left", bbox_to_anchor=(1.03, 0.5))
    return figure


@_chart_style()
def bars(title: str, rows: Sequence[Bar], parts: Sequence[str], whole: float, number: str = NUMBER):
    """A Figure of a bar a row, on a scale on which `whole` is the full width.

    `parts` names what the sizes of a bar are of, at most four; `number` formats a size as `x`.
    """
    part_names = [_wrapped(part) for part in parts]
    has_legend = len(parts) > 1
    figure, axes = _empty_rows(title, rows, ROW_HEIGHT if has_legend else 0)
    for row_number, row in enumerate(rows):
        row_name = _wrapped(row.name)
        bar_end = 0
        for part, size, colour_name in zip(part_names, row.sizes, PART_COLOURS, strict=False):
            (bar,) = axes.barh(row_number, size, 0.65, bar_end, color=LIGHT[colour_name])
            size_text = number.format(x=size)
            bar.set_gid(f"{TOOLTIP}{row_name}: {size_text} {part}")
            bar_end += size
        _annotate(axes, row.note, (bar_end, row_number), "data")
    axes.set_xlim(0, whole or 1)
    axes.xaxis.set_visible(False)
    axes.spines.bottom.set_visible(False)
    if has_legend:
        first_row = axes.patches[: len(parts)]
        figure.legend(first_row, part_names, loc="outside upper left", ncols=len(parts))
    return figure


@_chart_style()
def intervals(
    title: str, x_label: str, rows: Sequence[Interval], limits: tuple[float, float] | None = None
):
    """A Figure of a point between its bounds a row, and a dashed line through each base.

    The axis goes from `limits[0]` to `limits[1]`, shares; without limits it is as wide as the
    intervals. It never leaves 0 to 1.
    """
    figure, axes = _empty_rows(title, rows, 2 * ROW_HEIGHT)
    for row_number, row in enumerate(rows):
        colour_name = VERDICTS.get(row.verdict, "blue")
        colour = LIGHT[colour_name]
        bounds, height = (row.low, row.high), (row_number, row_number)
        (line,) = axes.plot(bounds, height, color=colour)
        (point,) = axes.plot(row.value, row_number, "o", markersize=8, color=colour, clip_on=False)
        shares = f"{row.value:.1%}, {row.low:.1%} to {row.high:.1%}"
        tooltip = f"{_wrapped(row.name)}: {shares}"
        for mark in (line, point):
            mark.set_gid(f"{TOOLTIP}{tooltip}")
        _annotate(axes, row.note, (1, row_number), axes.get_yaxis_transform())
        if row.verdict == "base":
            axes.axvline(row.value, color=colour, linestyle="--", linewidth=1, zorder=0)
    left, right = limits or axes.get_xlim()
    axes.set_xlim(max(left, 0), min(right, 1))
    axes.xaxis.set_major_formatter(_percent_tick)
    axes.grid(axis="x")
    axes.set_xlabel(_wrapped(x_label, LONGEST_LABEL))
    return figure


def as_png(figure) -> bytes:
    """The chart on white, 917 pixels wide: 440 units, 72 an inch, at 150 dots an inch."""
    return _file_content(figure, "png", dpi=150, metadata={"Software": None})


def as_inline_svg(figure) -> Markup:
    """The chart as an <svg> element for a page that has a style sheet's variable for each colour.

    It has no width, so that it becomes as wide as its place; its text stays text in the page's
    font. Ids that nothing refers to are left out, the others are the chart's own.
    """
    content = _file_content(figure, "svg", transparent=True, metadata=NO_METADATA)
    root = ElementTree.fromstring(content)
    root.remove(root.find(f"{SVG}defs"))  # a style sheet, that would reach into the page
    title = ElementTree.Element("title")
    title.text = figure.get_label()
    root.insert(0, title)
    for element in root.iter():
        _adapt_to_page(element)
    root.attrib = {"viewBox": root.get("viewBox"), "role": "img"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _file_content(figure, file_format: str, **options) -> bytes:
    """The bytes of the file; its ids come of the title and what they stand for."""
    content = io.BytesIO()
    with _chart_style(**{"svg.hashsalt": figure.get_label()}):
        figure.savefig(content, format=file_format, **options)
    return content.getvalue()


def _adapt_to_page(element: ElementTree.Element) -> None:
    """Turn an element of matplotlib's into one for a page: colours by name, tooltips, no fonts."""
    attributes = element.attrib
    element.tag = element.tag.removeprefix(SVG)
    element.tail = None  # with the next lines: no indentation
    if element.tag not in ("text", "title"):
        element.text = None
    if LINK in attributes:
        attributes["href"] = attributes.pop(LINK)
    if element.tag == "g":
        _, _, tooltip = attributes.pop("id", "").partition(TOOLTIP)
        if tooltip:
            ElementTree.SubElement(element, "title").text = tooltip
    if attributes.get("transform", "").startswith("rotate(-0 "):  # turns nothing
        del attributes["transform"]
    for coordinates in ("d", "x", "y"):
        if coordinates in attributes:
            on_one_line = " ".join(attributes[coordinates].split())
            attributes[coordinates] = re.sub(r"\d+\.\d+", _one_decimal, on_one_line)
    if "style" in attributes:
        without_font = re.sub(r"font-family: [^;]*;? ?", "", attributes["style"])
        attributes["style"] = re.sub(r"#[0-9a-f]{6}", _colour_variable, without_font)


def _one_decimal(number: re.Match) -> str:
    return f"{float(number[0]):.1f}"


def _colour_variable(colour: re.Match) -> str:
    """`var(--blue)` for the light theme's blue."""
    for name, light_colour in LIGHT.items():
        if light_colour == colour[0]:
            return f"var(--{name})"
    return colour[0]


def _empty_plot(title: str, x_label: str, y_label: str):
    """(Figure, axes) with a grid and the axes' labels: that of the y axis stands above it."""
    figure, axes = _empty_figure(title, PLOT_HEIGHT)
    axes.grid(axis="y")
    axes.set_xlabel(_wrapped(x_label, LONGEST_LABEL))
    axes.set_title(_wrapped(y_label, LONGEST_LABEL))
    axes.locator_params(axis="x", nbins=7)
    axes.locator_params(axis="y", nbins=5)
    axes.xaxis.set_major_formatter(NUMBER)
    axes.yaxis.set_major_formatter(NUMBER)
    return figure, axes


def _empty_rows(title: str, rows: Sequence[Bar] | Sequence[Interval], further_height: float):
    """(Figure, axes) with a place for each row under its name, from the top."""
    names = [_wrapped(row.name) for row in rows]
    most_line_breaks = max(name.count("\n") for name in names)
    row_height = ROW_HEIGHT + LINE_HEIGHT * most_line_breaks
    figure, axes = _empty_figure(title, row_height * len(rows) + further_height)
    axes.set_yticks(range(len(rows)), names, color=LIGHT["ink"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return figure, axes


def _empty_figure(title: str, height: float):
    """(Figure, axes), `height` units high; without pyplot, so that no display is looked for."""
    from matplotlib.figure import Figure

    size = (WIDTH / UNITS_OF_INCH, height / UNITS_OF_INCH)
    figure = Figure(figsize=size, layout="constrained")
    figure.set_label(" ".join(mathml.plain(title).split()))
    return figure, figure.add_subplot()


def _annotate(axes, note: str, position: tuple[float, float], coordinates) -> None:
    """A muted text a little to the right of a position."""
    shift = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
    look = {"color": LIGHT["muted"], "annotation_clip": False}
    axes.annotate(_wrapped(note), position, xycoords=coordinates, **shift, **look)


def _wrapped(text: str, longest_line: int = LONGEST_NAME) -> str:
    """The text on at most three lines, with code points for what cannot be seen or drawn."""
    text_lines = textwrap.wrap(mathml.plain(text), longest_line, max_lines=3, placeholder=" …")
    return "\n".join(text_lines)


def _percent_tick(share: float, _tick: int) -> str:
    """`12.5%` for .125: how matplotlib asks for the text of a tick."""
    percentage = round(100 * share, 6)
    return f"{NUMBER.format(x=percentage)}%"
