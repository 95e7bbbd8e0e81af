"""Tables for people: Markdown that also reads well on a terminal, CSV, and shares in percent."""

from collections.abc import Sequence


def markdown(columns: dict[str, Sequence[str]]) -> list[str]:
    """The lines of a table of equally wide cells, the first column on the left, others right.

    `columns` are cells by the column's title. A `|` in a cell is escaped, since it would end it.
    """
    import pandas
    import tabulate

    tabulate.MIN_PADDING = 0  # else a column is two blanks wider than its title
    # With dtype object, as pandas' own type for text refuses a lone surrogate.
    escaped = {_escaped(title): [_escaped(c) for c in cells] for title, cells in columns.items()}
    frame = pandas.DataFrame(escaped, dtype=object)
    alignment = ["left"] + ["right"] * (len(columns) - 1)
    table = frame.to_markdown(index=False, colalign=alignment, disable_numparse=True)
    return table.splitlines()


def csv(rows: list[dict], columns: Sequence[str]) -> bytes:
    """Rows as CSV in UTF-8, a header first; a lone surrogate becomes its escape."""
    import pandas

    frame = pandas.DataFrame(rows, columns=list(columns), dtype=object)
    text = frame.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8", errors="backslashreplace")


def percent(part: float | None, whole: float = 1) -> str:
    """`part` of `whole` as `12.5%`; a dash where there is no figure."""
    return "–" if part is None else f"{part / whole:.1%}"


def share(part: float, whole: float) -> float | None:
    """part / whole, rounded to four digits; None if there is nothing to divide by."""
    return round(part / whole, 4) if whole else None


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
