"""Tables for people: Markdown that also reads well on a terminal, CSV, and shares in percent."""

from collections.abc import Sequence


def markdown(columns: dict[str, Sequence[str]]) -> list[str]:
    """The lines of a table of equally wide cells, the first column on the left, others right.

    `columns` are cells by the column's title. A `|` in a cell is escaped, since it would end it.
    """
    import pandas
    import tabulate

    escaped_columns = {}
    for title, cells in columns.items():
        escaped_columns[escape_bars(title)] = [escape_bars(cell) for cell in cells]
    # With dtype object, as pandas' own type for text refuses a lone surrogate.
    frame = pandas.DataFrame(escaped_columns, dtype=object)
    alignment = ["left"] + ["right"] * (len(columns) - 1)
    tabulate.MIN_PADDING = 0  # else a column is two blanks wider than its title
    table = frame.to_markdown(index=False, colalign=alignment, disable_numparse=True)
    return table.splitlines()


def csv(rows: list[dict], column_names: Sequence[str]) -> bytes:
    """Rows as CSV in UTF-8, a header first; a lone surrogate becomes its escape."""
    import pandas

    frame = pandas.DataFrame(rows, columns=list(column_names), dtype=object)
    csv_text = frame.to_csv(index=False, lineterminator="\n")
    return csv_text.encode("utf-8", errors="backslashreplace")


def percent(part: float | None, whole: float = 1) -> str:
    """`part` of `whole` as `12.5%`; a dash where there is no figure."""
    if part is None:
        return "–"
    return f"{part / whole:.1%}"


def share(part: float, whole: float) -> float | None:
    """part / whole, rounded to four digits; None if there is nothing to divide by."""
    if not whole:
        return None
    return round(part / whole, 4)


def escape_bars(cell: str) -> str:
    return cell.replace("|", "\\|")
